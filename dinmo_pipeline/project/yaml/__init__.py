"""YAML documents that know the line of each value."""
