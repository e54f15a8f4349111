"""A run of a feed: its files that are due are imported, and Dagster is told of each as it comes in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from dagster import AssetCheckEvaluation, AssetCheckResult, AssetExecutionContext

from dinmo_pipeline.catalog.failures import failure_of
from dinmo_pipeline.catalog.import_events import (
    FILES_WITH_EVENTS,
    ImportSummary,
    feed_check,
    feed_columns,
    files_name,
    log_entities,
    log_file,
    log_others,
    partition_of,
)
from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.inbound.load.import_ledger import ImportLedger
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.storages.waiting import allow_waiting


def import_checked(context: AssetExecutionContext, project: Project, feed: FeedSpec) -> Iterator[AssetCheckResult]:
    """Import every file of the feed that is due, and tell how the feed is, also where that fails. A Failure in our words when it does."""
    try:
        with allow_waiting(context.log.warning):
            taken = _import_due(context, project, feed)
    except DinmoError as error:
        yield _as_result(feed_check(project, feed, problem=str(error)))
        raise failure_of(error) from error
    yield _as_result(feed_check(project, feed, taken))


def _import_due(context: AssetExecutionContext, project: Project, feed: FeedSpec) -> ImportSummary:
    """Import every file of the feed that is due, whichever partitions the run was started for, and tell Dagster of each.

    Returns what became of them; where none was due, of the feed's last one.
    """
    # With it comes Arrow: only runs that import wait for that.
    from dinmo_pipeline.inbound.import_pass import InboxPass

    taken = ImportSummary()
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
                    columns = columns or feed_columns(project, feed)
                    log_file(context, record, time.monotonic() - began, known, columns if record.feed == feed.name else {})
        finally:
            # Also where the pass failed: files may have been loaded.
            taken.notes = tuple(inbox.notes)
            for note in inbox.notes:
                context.log.warning(note)
            if taken.others["files"]:
                log_others(context, feed, taken.others, time.monotonic() - began)
            log_entities(context, project, taken.changed)
    if due:
        return taken
    context.log.info(f"no file of {feed.name} is due; {len(seen.waiting)} files of inbox {feed.inbox} are not whole yet")
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        return ImportSummary(ImportLedger(connection).of_feed(feed.name, limit=1), notes=taken.notes)


def _as_result(check: AssetCheckEvaluation) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=check.check_name,
        passed=check.passed,
        severity=check.severity,
        description=check.description,
        metadata=check.metadata,
    )
