"""Commands of Dagster's runs, databases and server."""
