"""Storages that are containers of Azure Blob Storage."""
