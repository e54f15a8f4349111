"""Which troubles are open: those that the record of files tells of, and those that the last look saw."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import duckdb

from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.formats.reader import Reject
from dinmo_pipeline.inbound.inbox.file_names import printable
from dinmo_pipeline.inbound.inbox.free_names import rejects_path
from dinmo_pipeline.inbound.inbox.scan_state import ScanState
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, ImportLedger, Outcome
from dinmo_pipeline.inbound.troubles.events import Events
from dinmo_pipeline.inbound.troubles.troubles import Trouble, TroubleKind, ordered, read_troubles, troubles_path
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.specs import Project

RECORDED: frozenset[TroubleKind] = frozenset({"refused", "blocked", "rejected"})
"""Kinds that the record in the warehouse tells of."""

# A sensor asks a storage once a look, and what passes by itself within this time is no trouble.
_PATIENCE = timedelta(minutes=10)
_MOST_A_KIND = 200
_SHOWN_NAMES = 5
_DISMISSED = "arrival IN (SELECT arrival FROM inbound.events WHERE kind = 'dismissed')"


def open_troubles(project: Project, inbox: str) -> tuple[Trouble, ...]:
    """Return what is open in an inbox, as its last pass or look left it, severe ones first; reads one small file.

    Where there was no pass since such a file is written, as in a warehouse of an earlier version, the warehouse is asked once.
    """
    path = troubles_path(project, inbox)
    if not path.exists() and project.warehouse_path.exists():
        with open_warehouse(project.warehouse_path, project.query_settings) as connection:
            return ordered(recorded_troubles(connection, project, inbox))
    return read_troubles(path, inbox)


def recorded_troubles(connection: duckdb.DuckDBPyConnection, project: Project, inbox: str) -> list[Trouble]:
    """Return what is open of the files that were recorded: refused and not yet mended, blocked, loaded with too many rejected records."""
    record = ImportLedger(connection)
    Events(connection)
    found: list[Trouble] = []
    for feed in project.feeds.values():
        if feed.inbox == inbox:
            found += [_stopped(feed, made) for made in stopped_files(record, feed)]
            files = loaded_with_rejects(record, feed)
            found += _rejected(feed, files, record.rejects(files[0].arrival, limit=1) if files else ())
    return found


def stopped_files(record: ImportLedger, feed: FeedSpec) -> list[FileRecord]:
    """Return of each name the last file, where that was refused and not dismissed, or is blocked.

    A newer file replaces those of its feed.
    """
    newer = ""
    if feed.load == "replace":
        newer = (
            "AND NOT EXISTS (FROM inbound.files AS newer WHERE newer.feed = files.feed AND newer.outcome = 'loaded' "
            "AND newer.arrival > files.arrival AND newer.file_date >= files.file_date)"
        )
    last = "arrival IN (SELECT max(arrival) FROM inbound.files WHERE feed = ? GROUP BY name)"
    return record.find(f"feed = ? AND {last} AND outcome IN ('refused', 'blocked') AND NOT {_DISMISSED} {newer}", [feed.name, feed.name])


def loaded_with_rejects(record: ImportLedger, feed: FeedSpec) -> list[FileRecord]:
    """Return files of the last pass that loaded any of the feed, of which more records were rejected than `warn_rejected` says."""
    last = "recorded_at = (SELECT max(recorded_at) FROM inbound.files WHERE feed = ? AND outcome = 'loaded')"
    condition = f"feed = ? AND outcome = 'loaded' AND rejected > 0 AND {last} AND NOT {_DISMISSED}"
    return [made for made in record.find(condition, [feed.name, feed.name]) if made.rejected > feed.rejects_without_warning(made.records)]


def seen_troubles(scan_state: ScanState, inbox: str, now: datetime) -> Iterator[Trouble]:
    """Yield what is open of what was seen at the last look, or failed since."""
    failure = scan_state.failure
    if failure is not None and (failure.patient or now - failure.since >= _PATIENCE):
        advice = "mend that; it is tried again at each pass"
        yield Trouble(inbox, None, None, "failed", failure.reason, failure.without_data, advice, failure.since)
    for aside in scan_state.set_aside.values():
        advice = "it is tried again at each pass: mend it, have it sent again, or take it away"
        path = printable(aside.path)
        yield Trouble(inbox, aside.feed, path, "set aside", aside.reason, aside.without_data, advice, aside.since)
    for path, (reason, since) in scan_state.strangers.items():
        advice = "rename it, define a feed for it, or take it away"
        yield Trouble(inbox, None, path, "unmatched", reason, "its name fits no feed", advice, datetime.fromisoformat(since))
    if scan_state.more_strangers:
        more = f"{scan_state.more_strangers:,} more files fit no feed, either"
        yield Trouble(inbox, None, None, "unmatched", more, more, "take them away, or define a feed for them", now)
    if scan_state.raw_missing is not None:
        told = "there is no folder raw, so files that are dropped are not seen"
        advice = f"see whether it has another name there, or let `dinmo inbox create {inbox}` make it"
        yield Trouble(inbox, None, None, "missing", told, told, advice, datetime.fromisoformat(scan_state.raw_missing))
    for line, since in scan_state.unread.items():
        told = "a line of the server's listing could not be read, and it may be a file"
        reason, advice = f"{told}: {line}", "ask whoever runs the server, and report the line if it is a file"
        yield Trouble(inbox, None, printable(line), "unlisted", reason, told, advice, datetime.fromisoformat(since))


def limited(troubles: Iterable[Trouble]) -> Iterator[Trouble]:
    """Yield of very many of one kind and feed the first, and one that counts the others."""
    ordered = sorted(troubles, key=lambda each: (each.kind, each.feed or ""))
    for _, group in groupby(ordered, key=lambda each: (each.kind, each.feed)):
        alike = list(group)
        yield from alike[:_MOST_A_KIND]
        if more := alike[_MOST_A_KIND:]:
            first, told = more[0], f"{len(more):,} more files, such as {more[0].file}"
            yield Trouble(first.inbox, first.feed, None, first.kind, told, told, first.advice, min(each.since for each in more))


def still_there(recorded: Iterable[Trouble], paths: Collection[str]) -> list[Trouble]:
    """Return those of which the file still waits, where that is what they are about: a blocked file that was taken away waits no more."""
    return [each for each in recorded if each.kind != "blocked" or each.file in paths]


def _stopped(feed: FeedSpec, made: FileRecord) -> Trouble:
    reason, path = made.reason or "", printable(made.path)
    if made.outcome == Outcome.BLOCKED:
        advice = f"`dinmo approve {feed.name}` lets it pass, or take it away"
        return Trouble(feed.inbox, feed.name, path, "blocked", reason, reason, advice, made.recorded_at)
    where = f"it lies in {made.target}; " if made.target is not None else ""
    advice = f"{where}have it sent again under its name, or `dinmo dismiss {feed.name} '{printable(made.name)}'`"
    return Trouble(feed.inbox, feed.name, path, "refused", reason, "it was refused, and nothing of it was taken", advice, made.recorded_at)


def _rejected(feed: FeedSpec, files: Sequence[FileRecord], first: Sequence[Reject]) -> Iterator[Trouble]:
    if not files:
        return
    told = [f"{printable(made.name)}: {made.rejected:,} of {made.records:,} records rejected" for made in files[:_SHOWN_NAMES]]
    told[0] += "".join(f", the first, {reject.told}" for reject in first)
    told += [f"{len(files) - _SHOWN_NAMES:,} more files"] * (len(files) > _SHOWN_NAMES)
    count = f"{sum(made.rejected for made in files):,} of {sum(made.records for made in files):,} records are rejected"
    where = rejects_path(files[0].target) if files[0].target is not None else "inbound.rejects of the warehouse"
    file = printable(files[0].path) if len(files) == 1 else None
    # Without the file's name it would close refused files of the feed as well.
    named = f" '{printable(files[0].name)}'" if len(files) == 1 else ""
    advice = f"they are in {where}; have the file sent again, raise warn_rejected, or `dinmo dismiss {feed.name}{named}`"
    yield Trouble(feed.inbox, feed.name, file, "rejected", "; ".join(told), count, advice, files[0].recorded_at)
