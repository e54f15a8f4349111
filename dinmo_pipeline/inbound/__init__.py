"""Files that others drop: which are new, what they hold, and how their rows come into the warehouse."""
