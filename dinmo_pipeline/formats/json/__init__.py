"""JSON and NDJSON, read and written."""
