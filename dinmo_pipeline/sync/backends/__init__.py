"""Where ledgers lie, and the locks and leases on them."""
