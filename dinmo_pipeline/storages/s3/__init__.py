"""Storages that are buckets of S3, or of a server that speaks its language."""
