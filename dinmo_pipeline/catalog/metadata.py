"""What deliveries and tables tell in Dagster: numbers as numbers, so that they plot over syncs, and tables for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dagster import AssetKey, MetadataValue

from dinmo_pipeline.catalog.columns import columns_metadata, file_columns_metadata
from dinmo_pipeline.delta.export import Export
from dinmo_pipeline.engines.duckdb.tables import Refreshed
from dinmo_pipeline.project.specs import RunType
from dinmo_pipeline.sync.prepare import Sample
from dinmo_pipeline.sync.service import Delivery, Rehearsal

_LONGEST_CELL = 60
# A value is no picture that a browser fetches, and no link.
_MARKDOWN = re.compile(r"[\\`|<\[&]")


def delivery_metadata(delivery: Delivery, key: AssetKey, *, preview_rows: int) -> dict[str, Any]:
    """Return the metadata of one materialization of the delivery `key`, and at most `preview_rows` rows of each of its files."""
    export, outcome = delivery.export, delivery.outcome
    metadata: dict[str, Any] = {
        **_sent(export, _shown(delivery.samples, preview_rows), "written files"),
        "dagster/row_count": MetadataValue.int(export.rows_sent),
        "seconds": MetadataValue.float(outcome.seconds),
        "sync": MetadataValue.int(export.number),
        "base": export.base_text,
        **file_columns_metadata(export.contract, _columns_come_from(delivery, key)),
    }
    if export.comparison.current is not None:
        metadata["instant"] = MetadataValue.timestamp(export.instant)
    if outcome.rolled_forward:
        metadata["rolled forward"] = True
    if outcome.warnings:
        metadata["warnings"] = MetadataValue.text("; ".join(finding.message for finding in outcome.warnings))
    if outcome.notes:
        metadata["notes"] = MetadataValue.text("; ".join(outcome.notes))
    if not delivery.recorded:
        metadata["redirected to"] = export.place.name
    return metadata


def rehearsal_metadata(rehearsal: Rehearsal, *, sent_to: str | None, preview_rows: int) -> dict[str, Any]:
    """Return the metadata of a sync that does not count: what it sent to the storage `sent_to`, or would send."""
    files = "files that would be written" if sent_to is None else "written files"
    metadata = _sent(rehearsal.export, _shown(rehearsal.samples, preview_rows), files)
    metadata["sent to"] = sent_to or "nobody: a dry run"
    if rehearsal.findings:
        metadata["guards"] = MetadataValue.text("; ".join(finding.message for finding in rehearsal.findings))
    return metadata


def _sent(export: Export, samples: Sequence[Sample], files: str) -> dict[str, Any]:
    counts = {name: getattr(export.counts, name) for name in ("rows", "added", "updated", "removed")}
    lines = [(put.path, f"{put.rows:,}", f"{put.bytes:,}", put.sha256[:12]) for put in export.puts]
    metadata: dict[str, Any] = {
        **{name: MetadataValue.int(count) for name, count in counts.items() if count is not None},
        "rows sent": MetadataValue.int(export.rows_sent),
        "files": MetadataValue.int(len(export.puts)),
        "bytes": MetadataValue.int(export.bytes),
        "kind": f"full: {export.reason}" if export.reason else f"delta: what changed since {export.base_text}",
        files: markdown_table(["file", "rows", "bytes", "SHA-256"], lines),
    }
    if samples:
        tables = [f"**{sample.change.value}**\n\n{_markdown(sample.names, sample.rows)}" for sample in samples if sample.rows]
        metadata["preview"] = MetadataValue.md("\n\n".join(tables) or "no rows")
    return metadata


def _shown(samples: Sequence[Sample], preview_rows: int) -> Sequence[Sample]:
    return [replace(sample, rows=sample.rows[:preview_rows]) for sample in samples] if preview_rows else ()


def _columns_come_from(delivery: Delivery, key: AssetKey) -> AssetKey:
    contract = delivery.export.contract
    if contract.run_type == RunType.FULL_THEN_DELTA:
        return AssetKey([*key.path[:-1], "snapshot"])
    return AssetKey(contract.source.split("."))


def table_metadata(table: Refreshed) -> dict[str, Any]:
    """Return the metadata of a table of the warehouse: its number of rows, its columns, and the rows that it was looked at for."""
    preview = {"preview": markdown_table([column.name for column in table.columns], table.preview)} if table.preview else {}
    return {
        "dagster/row_count": table.rows,
        **columns_metadata({column.name: column.type for column in table.columns}, {}),
        "rows": table.rows,
        **preview,
    }


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> MetadataValue[Any]:
    """Return a table of texts as Dagster shows it; long values are cut."""
    return MetadataValue.md(_markdown(names, rows))


def _markdown(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def cut_cell(text: str) -> str:
    """Return a value as a cell shows it: on one line, its end left out where it is long."""
    text = text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
    return text.replace("\n", " ").replace("\r", " ")


def _cell(value: str | None) -> str:
    return "" if value is None else _MARKDOWN.sub(r"\\\g<0>", cut_cell(value))
