"""Queries of users: bound before they run, and their failures in words for their author."""
