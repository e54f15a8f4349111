"""The configuration: YAML files read, checked and turned into frozen values."""
