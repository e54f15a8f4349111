"""Storages on any filesystem of fsspec."""
