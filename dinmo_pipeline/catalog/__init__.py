"""What Dagster shows of what happened: metadata, columns, lineage, imports, failures."""
