"""Which files of an inbox are due, and where they go."""
