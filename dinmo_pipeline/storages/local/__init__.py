"""Storages that are folders of this machine, or whatever is mounted there."""
