"""DuckDB: the warehouse, kept rows, and what changed between them."""
