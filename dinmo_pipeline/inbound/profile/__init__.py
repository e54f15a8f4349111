"""A sample file into the feed to take it in with."""
