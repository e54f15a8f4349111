"""What a step of a run reads and stores: tables, snapshots, files at their destinations."""
