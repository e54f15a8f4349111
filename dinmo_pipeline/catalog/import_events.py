"""What Dagster is told of a run of a feed: an event for each file, a partition of the feed; one for each entity; how the feed is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    MetadataValue,
)

from dinmo_pipeline.catalog.columns import columns_metadata, entity_columns_metadata
from dinmo_pipeline.catalog.metadata import table_metadata
from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.engines.duckdb.tables import look_at, table_columns, table_exists, table_sql
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, Outcome
from dinmo_pipeline.inbound.troubles.open_troubles import open_troubles
from dinmo_pipeline.inbound.troubles.troubles import Trouble
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.specs import Project

REJECTS_CHECK = "rejects"
OPEN, NOTES = "open", "notes"
"""Metadata of that check: what waits for a person, and what people should know although nothing failed."""
# What Dagster takes in no partition's key.
_UNFIT = re.compile(r"\.(?=\.\.)|[\x00-\x1f]")
_SHOWN_FILES = 20
_COUNTED = ("records", "loaded", "skipped", "rejected")
# An event takes Dagster longer than a small file takes to import.
FILES_WITH_EVENTS = 500
"""Of so many files at once each has an event; of the others only those with something to say, and one for all that were just loaded."""


@dataclass
class ImportSummary:
    """What became of the files of a run: those that are told of one by one, and the numbers of all others, which were just loaded.

    `changed` are the feeds that rows were loaded into, `notes` what people should know although nothing failed.
    """

    told: list[FileRecord] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    changed: dict[str, None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def add(self, record: FileRecord) -> bool:
        """Take note of a file; whether it is one that is told of."""
        if record.outcome == Outcome.LOADED:
            self.changed[record.feed] = None
        if len(self.told) >= FILES_WITH_EVENTS and _is_unremarkable(record):
            self.others.update({"files": 1, **{name: getattr(record, name) for name in (*_COUNTED, "bytes")}})
            return False
        self.told.append(record)
        return True


def partition_of(label: str) -> str:
    """Return a file's label as a partition's key."""
    return _UNFIT.sub("_", label)


def files_name(feed: str) -> str:
    """Return the dynamic partitions whose keys are the feed's files."""
    return f"files_{feed}"


def feed_check(project: Project, feed: FeedSpec, taken: ImportSummary | None = None, problem: str | None = None) -> AssetCheckEvaluation:
    """Return how the feed is now: an error where a file is not in its table, a warning where records or strangers may be missing.

    `taken` is what its last run made of its files, `problem` why that failed.
    """
    open_now = [each for each in open_troubles(project, feed.inbox) if each.feed in (None, feed.name)]
    told = [problem] if problem is not None else []
    told += [each.reason if each.kind == "rejected" else str(each) for each in open_now if each.reason != problem]
    metadata: dict[str, Any] = {OPEN: MetadataValue.json(open_entries(open_now))}
    fine = "nothing waits for anybody"
    if taken is not None:
        counts = {name: taken.others[name] + sum(getattr(record, name) for record in taken.told) for name in _COUNTED}
        files = taken.others["files"] + len(taken.told)
        metadata |= {"files": files, **counts}
        fine = f"{files} files, no record rejected" if not counts["rejected"] else f"{files} files, {counts['rejected']:,} records rejected"
        if taken.notes:
            metadata[NOTES] = "\n".join(taken.notes)
    more = len(told) - _SHOWN_FILES
    return AssetCheckEvaluation(
        asset_key=_key(feed.name),
        check_name=REJECTS_CHECK,
        passed=not told,
        severity=AssetCheckSeverity.ERROR if problem is not None or any(e.is_severe for e in open_now) else AssetCheckSeverity.WARN,
        # A paragraph each: Dagster shows Markdown.
        description="\n\n".join([*told[:_SHOWN_FILES], *[f"and {more:,} more"] * (more > 0)]) or fine,
        metadata=metadata,
    )


def open_entries(troubles: Iterable[Trouble]) -> list[dict[str, str | None]]:
    """Return troubles as the check's metadata hold them."""
    return [
        {"inbox": each.inbox, "feed": each.feed, "file": each.file, "kind": each.kind, "reason": each.reason, "advice": each.advice}
        for each in troubles
    ]


def log_file(
    context: AssetExecutionContext, record: FileRecord, seconds: float, known: Collection[str], columns: Mapping[str, Any]
) -> None:
    """Log the event of a file. `known` are the partitions that there are, `columns` the metadata of its feed's columns."""
    partition = partition_of(record.label)
    if partition not in known:
        # A file that an earlier run had not finished.
        context.instance.add_dynamic_partitions(files_name(record.feed), [partition])
    kind = AssetMaterialization if record.outcome == Outcome.LOADED else AssetObservation
    context.log_event(kind(_key(record.feed), partition=partition, metadata={**_metadata(record, seconds), **columns}))
    if record.outcome in (Outcome.REFUSED, Outcome.BLOCKED):
        context.log.error(f"{record.name}: {record.outcome}: {record.reason}")
    for warning in record.warnings:
        context.log.warning(f"{record.name}: {warning}")


def _is_unremarkable(record: FileRecord) -> bool:
    return record.outcome == Outcome.LOADED and not record.rejected and not record.warnings


def log_others(context: AssetExecutionContext, feed: FeedSpec, counts: Mapping[str, int], seconds: float) -> None:
    """Log one event for all files that have none of their own."""
    names = {"rows": "loaded", "records": "records", "skipped": "skipped", "rejected": "rejected", "bytes": "bytes", "files": "files"}
    metadata: dict[str, Any] = {
        **{name: MetadataValue.int(counts[field]) for name, field in names.items()},
        "seconds": MetadataValue.float(round(seconds, 3)),
        "file": f"{counts['files']:,} more files",
        "outcome": str(Outcome.LOADED),
    }
    context.log_event(AssetMaterialization(_key(feed.name), metadata=metadata))


def log_entities(context: AssetExecutionContext, project: Project, feeds: Iterable[str]) -> None:
    """Log an event for each entity that has one of these feeds: its rows and columns now."""
    for entity in dict.fromkeys(project.feeds[name].entity_ref for name in feeds if name in project.feeds):
        with open_warehouse(project.warehouse_path, project.query_settings) as connection:
            table = look_at(connection, entity, preview_rows=project.preview_rows)
            sources = {_key(feed.name): list(_types(connection, feed)) for feed in project.entities[entity]}
        types = {column.name: column.type for column in table.columns}
        metadata = table_metadata(table) | entity_columns_metadata(types, sources)
        context.log_event(AssetMaterialization(AssetKey([entity.kind, entity.name]), metadata=metadata))


def _types(connection: duckdb.DuckDBPyConnection, feed: FeedSpec) -> dict[str, str]:
    """Return the columns of the feed's table and their types; none before a file of it was loaded."""
    columns = table_columns(connection, table_sql(feed.ref)) if table_exists(connection, feed.ref) else ()
    return {column.name: column.type for column in columns}


def feed_columns(project: Project, feed: FeedSpec) -> dict[str, Any]:
    """Return the metadata of the columns that the feed's table has now; none before a file of it was loaded."""
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        types = _types(connection, feed)
    return columns_metadata(types, {}) if types else {}


def _key(feed: str) -> AssetKey:
    return AssetKey(["feeds", feed])


def _metadata(record: FileRecord, seconds: float) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "rows": MetadataValue.int(record.loaded),
        "dagster/partition_row_count": MetadataValue.int(record.loaded),
        "records": MetadataValue.int(record.records),
        "skipped": MetadataValue.int(record.skipped),
        "rejected": MetadataValue.int(record.rejected),
        "bytes": MetadataValue.int(record.bytes),
        "seconds": MetadataValue.float(round(seconds, 3)),
        "file": record.name,
        "outcome": str(record.outcome),
        "SHA-256": record.sha256,
    }
    if record.target is not None:
        metadata["lies in"] = record.target
    if record.reason is not None:
        metadata["reason"] = record.reason
    if record.warnings:
        metadata["warnings"] = "; ".join(record.warnings)
    return metadata
