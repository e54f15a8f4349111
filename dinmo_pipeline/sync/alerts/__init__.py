"""How an activation is, and who is told of it."""
