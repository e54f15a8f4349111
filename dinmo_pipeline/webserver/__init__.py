"""Dagster's web server behind a guard that takes requests of its own pages alone."""
