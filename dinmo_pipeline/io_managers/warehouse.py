"""Models and segments into the warehouse: the asset says which query, this makes the table."""

from __future__ import annotations

from dagster import InputContext, IOManager, OutputContext

from dinmo_pipeline.io_managers.failures import failing
from dinmo_pipeline.io_managers.metadata import table_metadata
from dinmo_pipeline.project.specs import Project, TableRef, TableSpec
from dinmo_pipeline.warehouse.tables import refresh


class WarehouseIOManager(IOManager):
    """Stores a table by running its query, swapped in one transaction. Loading one gives its name: rows stay in DuckDB."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @failing
    def handle_output(self, context: OutputContext, obj: TableSpec) -> None:
        """Refresh the table; adds its rows, columns and first rows to the materialization."""
        context.add_output_metadata(table_metadata(refresh(self._project, obj)))

    def load_input(self, context: InputContext) -> TableRef:
        """The table's name in the warehouse."""
        kind, name = context.asset_key.path
        return TableRef(kind, name)
