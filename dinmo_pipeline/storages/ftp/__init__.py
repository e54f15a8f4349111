"""Storages that are FTP and FTPS servers."""
