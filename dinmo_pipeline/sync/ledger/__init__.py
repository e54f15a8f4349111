"""The entries of an activation's ledger, their signatures, and the state that they make."""
