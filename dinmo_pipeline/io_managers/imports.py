"""A run of a feed: its files that are due are imported, and each is told to Dagster as a partition of the feed."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
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
_COUNTED = ("records", "loaded", "skipped", "rejected")
# An event takes Dagster longer than a small file takes to import.
FILES_WITH_EVENTS = 500
"""Of so many files at once each has an event; of the others only those with something to say, and one for all that were just loaded."""


@dataclass
class Taken:
    """What became of the files of a run: those that are told of one by one, and the numbers of all others, which were just loaded.

    `changed` are the feeds that rows were loaded into.
    """

    told: list[FileRecord] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    changed: dict[str, None] = field(default_factory=dict)

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
    """A file's label as a partition's key."""
    return _UNFIT.sub("_", label)


def files_name(feed: str) -> str:
    """The dynamic partitions whose keys are the feed's files."""
    return f"files_{feed}"


@failing
def import_due(context: AssetExecutionContext, project: Project, feed: FeedSpec) -> Taken:
    """Import every file of the feed that is due, whichever partitions the run was started for, and tell Dagster of each.

    Returns what became of them; where none was due, of the feed's last one.
    """
    # With it comes Arrow: only runs that import wait for that.
    from dinmo_pipeline.inbound.passes import InboxPass

    taken = Taken()
    columns: dict[str, Any] = {}
    began = time.monotonic()
    with InboxPass(project, feed.inbox) as inbox:
        seen = inbox.look()
        for line in seen.told_strangers():
            context.log.warning(line)
        due = [arrival for arrival in seen.due if arrival.match.feed == feed]
        known = {partition_of(arrival.label): None for arrival in due[:FILES_WITH_EVENTS]}
        # All at once: a call for each would cost as much as its import.
        context.instance.add_dynamic_partitions(files_name(feed.name), list(known))
        try:
            for record in inbox.take(due):
                if taken.add(record):
                    # Once a run: columns that come with a later batch show at the next one.
                    columns = columns or _columns(project, feed)
                    _tell(context, record, time.monotonic() - began, known, columns if record.feed == feed.name else {})
        finally:
            # Also where a batch failed: others may have been loaded.
            for note in inbox.notes:
                context.log.warning(note)
            if taken.others["files"]:
                _tell_together(context, feed, taken.others, time.monotonic() - began)
            for entity in _changed_entities(project, taken.changed):
                _tell_entity(context, project, entity)
    if due:
        return taken
    context.log.info(f"no file of {feed.name} is due; {len(seen.waiting)} files of inbox {feed.inbox} are not whole yet")
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        return Taken(Record(connection).of_feed(feed.name, limit=1))


def rejects_check(taken: Taken) -> AssetCheckResult:
    """Whether every record of every file was taken: a warning where some were rejected, an error where a file was not loaded."""
    stopped = [record for record in taken.told if record.outcome in (Outcome.REFUSED, Outcome.BLOCKED)]
    rejected = [record for record in taken.told if record.rejected and record.outcome not in (Outcome.REFUSED, Outcome.BLOCKED)]
    told = [f"{record.name}: {record.outcome}, {record.reason}" for record in stopped]
    told += [f"{record.name}: {record.rejected:,} of {record.records:,} records rejected" for record in rejected]
    counts = {name: taken.others[name] + sum(getattr(record, name) for record in taken.told) for name in _COUNTED}
    files = taken.others["files"] + len(taken.told)
    return AssetCheckResult(
        check_name=REJECTS_CHECK,
        passed=not told,
        severity=AssetCheckSeverity.ERROR if stopped else AssetCheckSeverity.WARN,
        description="; ".join(told[:_SHOWN_FILES]) or f"{files} files, no record rejected",
        metadata={"files": files, **counts},
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


def _tell_together(context: AssetExecutionContext, feed: FeedSpec, counts: Mapping[str, int], seconds: float) -> None:
    names = {"rows": "loaded", "records": "records", "skipped": "skipped", "rejected": "rejected", "bytes": "bytes", "files": "files"}
    metadata: dict[str, Any] = {
        **{name: MetadataValue.int(counts[field]) for name, field in names.items()},
        "seconds": MetadataValue.float(round(seconds, 3)),
        "file": f"{counts['files']:,} more files",
        "outcome": str(Outcome.LOADED),
    }
    context.log_event(AssetMaterialization(_key(feed.name), metadata=metadata))


def _changed_entities(project: Project, feeds: Iterable[str]) -> Iterable[TableRef]:
    return dict.fromkeys(project.feeds[name].entity_ref for name in feeds if name in project.feeds)


def _tell_entity(context: AssetExecutionContext, project: Project, entity: TableRef) -> None:
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        table = look_at(connection, entity, preview_rows=project.preview_rows)
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
