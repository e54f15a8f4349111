"""A batch of files into its table, with the record of each file."""
