"""Rows that Python code holds, written to files at a storage and read back: whatever hands over Arrow data, a relation, a query."""
