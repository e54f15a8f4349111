"""Text of SQL: quoted names and values, and DuckDB's types read from it."""
