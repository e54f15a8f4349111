"""A batch of one feed's files into its table, with the record of each: one transaction, so that each counts once or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from dinmo_pipeline.engines.duckdb.connection import open_warehouse, transaction
from dinmo_pipeline.errors import DataError, StateError
from dinmo_pipeline.formats.reader import Reading, Reject, listed
from dinmo_pipeline.inbound.inbox.discovery import Arrival
from dinmo_pipeline.inbound.load.earlier_files import EarlierFiles, KnownBytes, LoadedFile
from dinmo_pipeline.inbound.load.entities import show_entity
from dinmo_pipeline.inbound.load.feed_table import AcceptedFile, FeedTable
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, ImportLedger, Outcome
from dinmo_pipeline.inbound.load.judging import Decided, Fetched, Item, Judge, told_missing
from dinmo_pipeline.inbound.load.staging import InboundFile
from dinmo_pipeline.intake_limits import IntakeLimits, how_to_raise
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.schema.limits import is_halved
from dinmo_pipeline.project.specs import Project

__all__ = ["Fetched", "load_batch"]

Opening = Callable[[FeedSpec, Path, Collection[str]], Reading]
"""How a file of a feed is opened, given the columns of its table."""
Target = Callable[[Arrival, Outcome], str | None]


def load_batch(
    project: Project,
    feed: FeedSpec,
    files: Sequence[Fetched],
    *,
    opening: Opening,
    target: Target,
    stays: bool,
    now: datetime,
) -> list[tuple[FileRecord, tuple[Reject, ...]]]:
    """Load the files, in this order, and record what became of each, with its rejects; those dealt with before are left out.

    `target` tells where a file goes afterwards, `stays` whether files are meant to stay where they lie. Raises StateError when the
    warehouse cannot keep it, DataError when a column's type was declared otherwise before; nothing of the batch is loaded then.
    """
    with open_warehouse(project.warehouse_path, project.query_settings, isolated=True) as connection:
        record = ImportLedger(connection)
        try:
            with transaction(connection):
                loading = _Loading(connection, record, feed, opening, stays=stays, limits=project.limits)
                recorded = loading.run(files, target, now)
                show_entity(connection, feed.entity_ref, project.entities[feed.entity_ref])
        except duckdb.Error as error:
            first = files[0].arrival.path
            raise StateError(
                f"loading {len(files)} files into {feed.ref}, from {first} on: the warehouse did not take them: {error}; nothing of them "
                "was loaded, and they stay where they are"
            ) from error
    return recorded


class _Loading:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        record: ImportLedger,
        feed: FeedSpec,
        opening: Opening,
        *,
        stays: bool,
        limits: IntakeLimits,
    ) -> None:
        self._connection = connection
        self._record = record
        self._feed = feed
        self._opening = opening
        self._stays = stays
        self._limits = limits
        self._table = FeedTable(connection, feed)
        self._known = frozenset(self._table.columns())

    def run(self, files: Sequence[Fetched], target: Target, now: datetime) -> list[tuple[FileRecord, tuple[Reject, ...]]]:
        items = [self._item(number, fetched) for number, fetched in enumerate(self._unrecorded(files), start=self._record.next_arrival())]
        if items:
            self._decide(items, now)
        recorded = [(_record_of(item, self._feed, target, now), item.rejects) for item in items]
        self._record.add(recorded)
        return recorded

    def _decide(self, items: Sequence[Item], now: datetime) -> None:
        known_bytes = self._known_bytes(items)
        earlier = self._earlier_files(items)
        last = self._record.last_loaded(self._feed.name) if self._feed.load == "replace" else None
        for item in items:
            self._begin(item, known_bytes, earlier, last)
        self._check_width([item for item in items if item.outcome is None])
        judge = Judge(self._connection, self._feed, self._table, earlier, known_bytes, self._guard, self._limits.rejected_records)
        wanted = [item for item in items if item.outcome is None]
        if self._feed.load == "replace":
            self._replace(wanted, judge, now)
        elif filled := [item for item in wanted if item.file.columns]:
            self._load(judge.decide(filled), now)

    def _unrecorded(self, files: Sequence[Fetched]) -> Iterator[Fetched]:
        """Yield those that were not dealt with before, where dealing with them leaves them in their place."""
        recorded = self._record.latest(self._feed.name, [fetched.arrival.path for fetched in files])
        for fetched in files:
            latest = recorded.get(fetched.arrival.path)
            if latest is None or latest.sha256 != fetched.sha256:
                yield fetched
            elif latest.outcome == Outcome.BLOCKED:
                if self._record.is_approved(self._feed.name, fetched.sha256):
                    yield fetched
            elif not self._stays:
                yield fetched

    def _item(self, number: int, fetched: Fetched) -> Item:
        return Item(fetched, InboundFile(number, lambda: self._opening(self._feed, fetched.local_path, self._known)))

    def _known_bytes(self, items: Sequence[Item]) -> KnownBytes:
        known = KnownBytes(self._feed)
        for file in self._record.loaded_with(self._feed.name, [item.fetched.sha256 for item in items]):
            known.add(file.sha256, _loaded_file(file), file.rejected)
        return known

    def _earlier_files(self, items: Sequence[Item]) -> EarlierFiles:
        days = [item.fetched.date for item in items]
        return EarlierFiles(self._feed, map(_loaded_file, self._record.loaded_between(self._feed.name, min(days), max(days))))

    def _begin(self, item: Item, known_bytes: KnownBytes, earlier: EarlierFiles, last: FileRecord | None) -> None:
        """Open the file, unless it is known or older than the `last` that replaced the table.

        It is refused where it cannot be opened, or lacks a column that is declared.
        """
        known_as = known_bytes.known_as(item.fetched.sha256, item.fetched.date)
        if known_as is not None:
            item.end(Outcome.REPEATED, known_as)
            return
        if last is not None and last.file_date > item.fetched.date:
            item.end(Outcome.OUTDATED, f"a newer file, {last.name}, is the table already")
            return
        item.begin()
        if item.outcome is None and item.columns and (missing := earlier.undeclared(item.columns)) is not None:
            item.end(Outcome.REFUSED, told_missing(missing, item.columns))

    def _check_width(self, items: Sequence[Item]) -> None:
        """Refuse a file for which the table has no room; DataError where that is so of several together, which are to come apart."""
        most = self._limits.feed_columns
        wanted = dict.fromkeys(name for item in items for name in item.columns if name not in self._known)
        if not wanted or len(self._known) + len(wanted) <= most:
            return
        if len(items) > 1:
            raise DataError(f"loading {len(items):,} files into {self._feed.ref}: together they have more columns than {most:,}")
        told = f"its {len(wanted):,} new columns would make {len(self._known) + len(wanted):,} of the table, which is more than {most:,}"
        items[0].end(Outcome.REFUSED, f"{told}: ask for a file of fewer, or {how_to_raise('feed_columns')}")

    def _replace(self, items: Sequence[Item], judge: Judge, now: datetime) -> None:
        """Load the newest of the files that is not refused; those before it are outdated."""
        ranked = sorted(items, key=lambda item: (item.fetched.date, item.file.arrival))
        newest: Item | None = None
        while ranked:
            item = ranked.pop()
            if newest is not None:
                item.end(Outcome.OUTDATED, f"a newer file, {newest.fetched.arrival.name}, came with it")
                continue
            if not item.file.columns:
                self._take_nothing(item)
            else:
                if any(name not in item.columns for older in ranked for name in older.columns):
                    ranked = self._accepted_alone(ranked, judge)
                self._load(judge.decide([item]), now)
            if item.outcome is None:
                newest = item

    def _accepted_alone(self, items: Sequence[Item], judge: Judge) -> list[Item]:
        """Return those of the files that could be loaded, were they alone, in their order.

        They tell which columns a newer one must have.
        """
        accepted = []
        for item in items:
            if item.columns:
                judge.decide([item])
            if item.outcome is None:
                accepted.append(item)
                item.begin()
        return accepted

    def _take_nothing(self, item: Item) -> None:
        """Load a file that replaces where it has no record, and so no column: an empty JSON array."""
        self._guard(item)
        if item.outcome is None:
            self._table.clear()

    def _guard(self, item: Item) -> None:
        """Let a file that would empty or halve the table it replaces wait for a person's word."""
        if self._feed.load != "replace" or self._record.is_approved(self._feed.name, item.fetched.sha256):
            return
        rows_before = self._table.rows()
        if (rows_before > 0 and item.rows == 0) or is_halved(item.rows, rows_before):
            item.end(
                Outcome.BLOCKED,
                f"it has {item.rows:,} rows, and the table that it would replace has {rows_before:,}; "
                f"`dinmo approve {self._feed.name}` lets this very file pass",
            )

    def _load(self, decided: Decided, now: datetime) -> None:
        known = list(self._table.columns())
        if decided.shapes:
            loaded = [AcceptedFile(i.file.arrival, i.fetched.arrival.name, i.fetched.date) for i in decided.accepted]
            self._table.load(loaded, decided.staged, decided.shapes, decided.texts, at=now)
        for item in decided.accepted:
            item.warnings = tuple(self._warnings(item, known))
            known += [name for name in item.columns if name not in known]

    def _warnings(self, item: Item, known: Sequence[str]) -> Iterator[str]:
        yield from item.file.warnings
        new = [name for name in item.columns if known and name not in known]
        if new:
            yield f"it has new columns: {listed(new)}"
        if item.missed is not None:
            yield item.missed
        updated_at = self._feed.updated_at
        if updated_at is not None and item.counted.undated and item.counted.records:
            yield f"no record has a value in {updated_at}, so the date in the file's name tells how new they are"


def _loaded_file(file: FileRecord) -> LoadedFile:
    return LoadedFile(file.file_date, file.arrival, file.name, file.columns)


def _record_of(item: Item, feed: FeedSpec, target: Target, now: datetime) -> FileRecord:
    arrival, counted = item.fetched.arrival, item.counted
    outcome = item.outcome or Outcome.LOADED
    is_loaded = outcome == Outcome.LOADED
    path = target(arrival, outcome)
    return FileRecord(
        arrival=item.file.arrival,
        inbox=feed.inbox,
        feed=feed.name,
        folder=arrival.folder,
        name=arrival.name,
        bytes=arrival.sight.size,
        modified=arrival.sight.modified,
        sha256=item.fetched.sha256,
        file_date=arrival.match.date,
        outcome=outcome,
        reason=item.reason,
        warnings=item.warnings,
        columns=item.columns,
        records=item.records,
        loaded=item.rows if is_loaded else 0,
        skipped=counted.skipped,
        rejected=item.rejected,
        target=path,
        recorded_at=now,
        tidied=path is None,
    )
