"""What deliveries and tables tell in Dagster: numbers as numbers, so that they plot over syncs, and tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagster import MetadataValue, TableColumn, TableSchema

from dinmo_pipeline.sync.syncs import Delivery
from dinmo_pipeline.warehouse.tables import Refreshed

_LONGEST_CELL = 60


def delivery_metadata(delivery: Delivery) -> dict[str, Any]:
    """The metadata of one materialization."""
    export, outcome = delivery.export, delivery.outcome
    counts = {
        "rows": export.counts.rows,
        "added": export.counts.added,
        "updated": export.counts.updated,
        "removed": export.counts.removed,
    }
    files = [(put.path, f"{put.rows:,}", f"{put.bytes:,}", put.sha256[:12]) for put in export.puts]
    metadata: dict[str, Any] = {
        **{name: MetadataValue.int(count) for name, count in counts.items() if count is not None},
        "dagster/row_count": MetadataValue.int(export.rows_sent),
        "rows sent": MetadataValue.int(export.rows_sent),
        "files": MetadataValue.int(len(export.puts)),
        "bytes": MetadataValue.int(export.bytes),
        "duration": MetadataValue.float(outcome.seconds),
        "sync": MetadataValue.int(export.number),
        "base": f"sync {export.base}" if export.base is not None else "none",
        "kind": f"full: {export.reason}" if export.reason else f"delta: what changed since sync {export.base}",
        "written files": markdown_table(["file", "rows", "bytes", "SHA-256"], files),
    }
    if export.comparison.current is not None:
        metadata["instant"] = MetadataValue.timestamp(export.instant)
    if delivery.samples:
        tables = [f"**{sample.change.value}**\n\n{_markdown(sample.names, sample.rows)}" for sample in delivery.samples if sample.rows]
        metadata["preview"] = MetadataValue.md("\n\n".join(tables) or "no rows")
    if outcome.rolled_forward:
        metadata["rolled forward"] = True
    if outcome.warnings:
        metadata["warnings"] = MetadataValue.text("; ".join(finding.message for finding in outcome.warnings))
    if outcome.notes:
        metadata["notes"] = MetadataValue.text("; ".join(outcome.notes))
    if not delivery.recorded:
        metadata["redirected to"] = str(export.place.fields["name"])
    return metadata


def table_metadata(table: Refreshed) -> dict[str, Any]:
    """The metadata of a table of the warehouse: its rows, its columns, its first rows."""
    return {
        "dagster/row_count": table.rows,
        "dagster/column_schema": TableSchema([TableColumn(column.name, column.type) for column in table.columns]),
        "rows": table.rows,
        "preview": markdown_table([column.name for column in table.columns], table.preview),
    }


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> MetadataValue[Any]:
    """A table of texts as Dagster shows it; long values are cut."""
    return MetadataValue.md(_markdown(names, rows))


def _markdown(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: str | None) -> str:
    if value is None:
        return ""
    text = value if len(value) <= _LONGEST_CELL else value[: _LONGEST_CELL - 1] + "…"
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ").replace("<", "&lt;")
