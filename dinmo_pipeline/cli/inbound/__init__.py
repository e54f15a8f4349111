"""Commands of inboxes and feeds."""
