"""What people are told: what is open about an activation, an inbox or a feed, once for each change of it."""
