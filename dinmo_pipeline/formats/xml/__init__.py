"""XML and XML Schema, written."""
