"""Models and segments: assets without partitions, made in the warehouse by their query."""

# Dagster reads the annotations of asset functions as objects, so this module's are no postponed texts.
from collections.abc import Iterator
from typing import ClassVar

from dagster import AssetExecutionContext, AssetKey, AssetsDefinition, AssetSpec, Definitions, MetadataValue, Output
from pydantic import BaseModel

from dinmo_pipeline.components.asset_keys import code_reference, job_name, table_key
from dinmo_pipeline.components.assets import make_asset
from dinmo_pipeline.components.automation.jobs import due_instant
from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.components.descriptions import describe_table
from dinmo_pipeline.io_managers.requests import TableRequest
from dinmo_pipeline.io_managers.warehouse import WarehouseIOManager
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.schema.outbound import ModelFields, SegmentFields
from dinmo_pipeline.project.specs import TableSpec
from dinmo_pipeline.project.table_refs import TableRef


class _Table(NamedComponent):
    kind: ClassVar[str]

    def build(self, loaded: LoadedProject) -> Definitions:
        """Return one asset."""
        return Definitions(assets=[_table_asset(loaded, loaded.project.tables[TableRef(self.kind, self.name)])])


class Model(_Table):
    """A table made by a query."""

    kind = "models"
    fields_model: ClassVar[type[BaseModel]] = ModelFields


class Segment(_Table):
    """Some rows of a model."""

    kind = "segments"
    fields_model: ClassVar[type[BaseModel]] = SegmentFields


def _table_asset(loaded: LoadedProject, spec: TableSpec) -> AssetsDefinition:
    def table(context: AssetExecutionContext) -> Iterator[Output[TableRequest]]:
        # Whoever refreshes a table by itself wants it fresh, whatever its age.
        in_sync = context.job_name in map(job_name, loaded.project.activations)
        yield Output(TableRequest(spec, reuse=in_sync, due=due_instant(context.run)))

    return make_asset(
        AssetSpec(
            table_key(spec.ref),
            deps=[*map(table_key, spec.depends_on), *(AssetKey(key.split("/")) for key in spec.external_deps)],
            description=describe_table(spec),
            group_name=spec.ref.kind,
            kinds={"duckdb", "sql"},
            owners=spec.owners,
            tags=spec.tags,
            metadata={
                "sql": MetadataValue.md(f"```sql\n{spec.sql.strip()}\n```"),
                "primary key": ", ".join(spec.primary_key),
                **code_reference(loaded, str(spec.ref)),
            },
        ),
        table,
        io_manager=WarehouseIOManager(loaded.project),
    )
