"""What a sync costs, as a ratio to what DuckDB alone takes for the same rows in the same run."""
