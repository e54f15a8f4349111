"""What waits for a person in an inbox, and who is told of it."""
