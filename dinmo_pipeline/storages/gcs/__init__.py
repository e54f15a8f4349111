"""Storages that are buckets of Google Cloud Storage."""
