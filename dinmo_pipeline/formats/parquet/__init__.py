"""Parquet, written."""
