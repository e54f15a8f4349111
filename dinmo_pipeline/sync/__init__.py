"""One activation's syncs: what is due to its consumer, recorded and delivered."""
