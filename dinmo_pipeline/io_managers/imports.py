"""A run of a feed: its files that are due are imported, and each is told to Dagster as a partition of the feed."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import duckdb
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    MetadataValue,
)

from dinmo_pipeline.inbound.record import FileRecord, Outcome, Record
from dinmo_pipeline.io_managers.columns import columns_metadata, entity_columns_metadata
from dinmo_pipeline.io_managers.failures import failing
from dinmo_pipeline.io_managers.metadata import table_metadata
from dinmo_pipeline.project.specs import FeedSpec, Project, TableRef
from dinmo_pipeline.warehouse.connections import open_warehouse
from dinmo_pipeline.warehouse.tables import look_at, table_columns, table_exists, table_sql

REJECTS_CHECK = "rejects"
# What Dagster takes in no partition's key.
_UNFIT = re.compile(r"\.(?=\.\.)|[\x00-\x1f]")
_SHOWN_FILES = 20
# An event takes Dagster longer than a small file takes to import.
FILES_WITH_EVENTS = 500
"""Of so many files at once each has an event; of the others only those with something to say, and one for all that were just loaded."""


def partition_of(label: str) -> str:
    """A file's label as a partition's key."""
    return _UNFIT.sub("_", label)


def files_name(feed: str) -> str:
    """The dynamic partitions whose keys are the feed's files."""
    return f"files_{feed}"


@failing
def import_due(context: AssetExecutionContext, project: Project, feed: FeedSpec) -> Sequence[FileRecord]:
    """Import every file of the feed that is due, whichever partitions the run was started for, and tell Dagster of each.

    Returns what became of them; where none was due, of the feed's last one.
    """
    # With it comes Arrow: only runs that import wait for that.
    from dinmo_pipeline.inbound.passes import InboxPass

    records: list[FileRecord] = []
    untold: list[FileRecord] = []
    columns: dict[str, Any] = {}
    began = time.monotonic()
    with InboxPass(project, feed.inbox) as inbox:
        seen = inbox.look()
        for path, reason in seen.strangers.items():
            context.log.warning(f"{path}: {reason}")
        due = [arrival for arrival in seen.due if arrival.match.feed == feed]
        known = {partition_of(arrival.label): None for arrival in due[:FILES_WITH_EVENTS]}
        # All at once: a call for each would cost as much as its import.
        context.instance.add_dynamic_partitions(files_name(feed.name), list(known))
        try:
            for record in inbox.take(due):
                records.append(record)
                if len(records) > FILES_WITH_EVENTS and _is_unremarkable(record):
                    untold.append(record)
                else:
                    # Once a run: columns that come with a later batch show at the next one.
                    columns = columns or _columns(project, feed)
                    _tell(context, record, time.monotonic() - began, known, columns if record.feed == feed.name else {})
        finally:
            # Also where a batch failed: others may have been loaded.
            for note in inbox.notes:
                context.log.warning(note)
            if untold:
                _tell_together(context, feed, untold, time.monotonic() - began)
            for entity in _changed_entities(project, records):
                _tell_entity(context, project, entity)
    if due:
        return records
    context.log.info(f"no file of {feed.name} is due; {len(seen.waiting)} files of inbox {feed.inbox} are not whole yet")
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        return Record(connection).of_feed(feed.name, limit=1)


def rejects_check(records: Sequence[FileRecord]) -> AssetCheckResult:
    """Whether every record of every file was taken: a warning where some were rejected, an error where a file was not loaded."""
    stopped = [record for record in records if record.outcome in (Outcome.REFUSED, Outcome.BLOCKED)]
    rejected = [record for record in records if record.rejected and record not in stopped]
    told = [f"{record.name}: {record.outcome}, {record.reason}" for record in stopped]
    told += [f"{record.name}: {record.rejected:,} of {record.records:,} records rejected" for record in rejected]
    counts = {name: sum(getattr(record, name) for record in records) for name in ("records", "loaded", "skipped", "rejected")}
    return AssetCheckResult(
        check_name=REJECTS_CHECK,
        passed=not told,
        severity=AssetCheckSeverity.ERROR if stopped else AssetCheckSeverity.WARN,
        description="; ".join(told[:_SHOWN_FILES]) or f"{len(records)} files, no record rejected",
        metadata={"files": len(records), **counts},
    )


def _tell(context: AssetExecutionContext, record: FileRecord, seconds: float, known: Collection[str], columns: Mapping[str, Any]) -> None:
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


def _tell_together(context: AssetExecutionContext, feed: FeedSpec, records: Sequence[FileRecord], seconds: float) -> None:
    counts = {"rows": "loaded", "records": "records", "skipped": "skipped", "rejected": "rejected", "bytes": "bytes"}
    metadata: dict[str, Any] = {
        **{name: MetadataValue.int(sum(getattr(record, field) for record in records)) for name, field in counts.items()},
        "seconds": MetadataValue.float(round(seconds, 3)),
        "files": MetadataValue.int(len(records)),
        "file": f"{len(records):,} more files",
        "outcome": str(Outcome.LOADED),
    }
    context.log_event(AssetMaterialization(_key(feed.name), metadata=metadata))


def _changed_entities(project: Project, records: Sequence[FileRecord]) -> Iterable[TableRef]:
    feeds = [project.feeds[record.feed] for record in records if record.outcome == Outcome.LOADED and record.feed in project.feeds]
    return dict.fromkeys(feed.entity_ref for feed in feeds)


def _tell_entity(context: AssetExecutionContext, project: Project, entity: TableRef) -> None:
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        table = look_at(connection, entity)
        feeds = {_key(feed.name): list(_types(connection, feed)) for feed in project.entities[entity]}
    types = {column.name: column.type for column in table.columns}
    metadata = table_metadata(table) | entity_columns_metadata(types, feeds)
    context.log_event(AssetMaterialization(AssetKey([entity.kind, entity.name]), metadata=metadata))


def _types(connection: duckdb.DuckDBPyConnection, feed: FeedSpec) -> dict[str, str]:
    """The columns of the feed's table and their types; none before a file of it was loaded."""
    columns = table_columns(connection, table_sql(feed.ref)) if table_exists(connection, feed.ref) else ()
    return {column.name: column.type for column in columns}


def _columns(project: Project, feed: FeedSpec) -> dict[str, Any]:
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
