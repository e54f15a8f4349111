"""The definitions of this project are YAML and SQL in `defs/`."""
