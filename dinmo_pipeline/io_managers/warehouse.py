"""Models and segments into the warehouse: the asset says which query, this makes the table."""

from __future__ import annotations

from dagster import InputContext, IOManager, MetadataValue, OutputContext

from dinmo_pipeline.catalog.columns import table_columns_metadata
from dinmo_pipeline.catalog.failures import failing
from dinmo_pipeline.catalog.metadata import table_metadata
from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.io_managers.requests import TableRequest
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.project.table_refs import TableRef

REUSED = "reused, as made at"
"""The metadata of a materialization that left the table as it was: it is fresh enough."""


class WarehouseIOManager(IOManager):
    """Stores a table by running its query, swapped in one transaction. Loading one gives its name: rows stay in DuckDB."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @failing
    def handle_output(self, context: OutputContext, obj: TableRequest) -> None:
        """Refresh the table; adds its rows, columns and first rows to the materialization."""
        table = refresh(self._project, obj.spec, reuse=obj.reuse, due=obj.due)
        reused = {REUSED: MetadataValue.timestamp(table.at)} if table.reused and table.at is not None else {}
        context.add_output_metadata(table_metadata(table) | table_columns_metadata(self._project, obj.spec, table) | reused)

    def load_input(self, context: InputContext) -> TableRef:
        """Return the table's name in the warehouse."""
        kind, name = context.asset_key.path
        return TableRef(kind, name)
