"""Storages that are SFTP servers."""
