"""A batch of one feed's files into its table, with the record of each: one transaction, so that each counts once or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from dinmo_pipeline.errors import StateError
from dinmo_pipeline.inbound.arrivals import Arrival
from dinmo_pipeline.inbound.entities import show_entity
from dinmo_pipeline.inbound.feed_tables import AcceptedFile, Counted, FeedTable
from dinmo_pipeline.inbound.reading import LINE, RECORD, SHOWN, Reading, Reject
from dinmo_pipeline.inbound.record import FileRecord, Outcome, Record
from dinmo_pipeline.inbound.staging import ARRIVAL, FAULT, FAULT_VALUE, STAGED, InboundFile, column_types, stage
from dinmo_pipeline.inbound.types import ColumnType
from dinmo_pipeline.project.limits import is_halved
from dinmo_pipeline.project.specs import FeedSpec, Project
from dinmo_pipeline.warehouse.connections import open_warehouse, transaction

# Of a refused file so many rejects tell enough.
_TOLD_REJECTS = 1_000
_NONE = Counted(records=0, skipped=0, faulty=0, undated=True)

Opening = Callable[[FeedSpec, Path], Reading]
Target = Callable[[Arrival, Outcome], str | None]


@dataclass(frozen=True)
class Fetched:
    """A file that was copied to this machine: where it lay, the copy, and its content's SHA-256."""

    arrival: Arrival
    local_path: Path
    sha256: str


@dataclass
class _Item:
    """A fetched file while it is decided on; `outcome` is None as long as it is to be loaded."""

    fetched: Fetched
    file: InboundFile
    outcome: Outcome | None = None
    reason: str | None = None
    counted: Counted = _NONE
    rejects: tuple[Reject, ...] = ()
    warnings: tuple[str, ...] = ()

    def end(self, outcome: Outcome, reason: str) -> None:
        self.outcome, self.reason = outcome, reason

    @property
    def rejected(self) -> int:
        return len(self.file.rejects) + self.counted.faulty

    @property
    def records(self) -> int:
        return len(self.file.rejects) + self.counted.records


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
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        record = Record(connection)
        try:
            with transaction(connection):
                loading = _Loading(connection, record, feed, opening, stays=stays)
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
    def __init__(self, connection: duckdb.DuckDBPyConnection, record: Record, feed: FeedSpec, opening: Opening, *, stays: bool) -> None:
        self._connection = connection
        self._record = record
        self._feed = feed
        self._opening = opening
        self._stays = stays
        self._table = FeedTable(connection, feed)

    def run(self, files: Sequence[Fetched], target: Target, now: datetime) -> list[tuple[FileRecord, tuple[Reject, ...]]]:
        items = [self._item(number, fetched) for number, fetched in enumerate(self._unrecorded(files), start=self._record.next_arrival())]
        self._tell_repeated(items)
        self._begin(items)
        self._tell_outdated(items)
        for item in items:
            if item.outcome is None and not item.file.columns:
                self._take_nothing(item)
        wanted = [item for item in items if item.outcome is None and item.file.columns]
        types = column_types(self._feed, dict.fromkeys(name for item in wanted for name in item.file.columns))
        known = self._table.columns()
        if wanted:
            shapes = stage(self._connection, [item.file for item in wanted], types, self._table.shapes(types), key=self._feed.primary_key)
            self._judge(wanted, types)
            accepted = [item for item in wanted if item.outcome is None]
            if accepted:
                loaded = [AcceptedFile(i.file.arrival, i.fetched.arrival.name, i.fetched.arrival.match.date) for i in accepted]
                self._table.load(loaded, types, shapes, at=now)
            for item in accepted:
                item.warnings = tuple(self._warnings(item, known))
        recorded = [(_record_of(item, self._feed, target, now), item.rejects) for item in items]
        self._record.add(recorded)
        return recorded

    def _unrecorded(self, files: Sequence[Fetched]) -> Iterator[Fetched]:
        """Those that were not dealt with before, where dealing with them leaves them in their place."""
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

    def _item(self, number: int, fetched: Fetched) -> _Item:
        return _Item(fetched, InboundFile(number, lambda: self._opening(self._feed, fetched.local_path)))

    def _tell_repeated(self, items: Sequence[_Item]) -> None:
        """Leave out what was loaded before: the same events again, or of files that replace a newer one."""
        if self._feed.load == "append":
            seen = self._record.loaded_with(self._feed.name, [item.fetched.sha256 for item in items])
            for item in items:
                sha256 = item.fetched.sha256
                if sha256 in seen:
                    item.end(Outcome.REPEATED, f"these very bytes were loaded before, as {seen[sha256]}")
                seen.setdefault(sha256, item.fetched.arrival.name)
        elif self._feed.load == "replace":
            last = self._record.last_loaded(self._feed.name)
            for item in items:
                if last is not None and last.file_date > item.fetched.arrival.match.date:
                    item.end(Outcome.OUTDATED, f"a newer file, {last.name}, is the table already")

    def _tell_outdated(self, items: Sequence[_Item]) -> None:
        """Of files that replace leave all but the newest that was not refused."""
        wanted = [item for item in items if item.outcome is None]
        if self._feed.load == "replace" and wanted:
            newest = max(wanted, key=lambda item: (item.fetched.arrival.match.date, item.file.arrival))
            for item in wanted:
                if item is not newest:
                    item.end(Outcome.OUTDATED, f"a newer file, {newest.fetched.arrival.name}, came with it")

    def _take_nothing(self, item: _Item) -> None:
        """What a file comes to that has no record, and so no column: an empty JSON array."""
        if self._feed.load != "replace":
            return
        if not self._record.is_approved(self._feed.name, item.fetched.sha256):
            self._guard(item, self._table.rows())
        if item.outcome is None:
            self._table.clear()

    def _begin(self, items: Sequence[_Item]) -> None:
        """Open the files, and refuse those that cannot be opened or lack a column that a file of this feed has."""
        last = self._record.last_loaded(self._feed.name, with_columns=True)
        last_columns = () if last is None else last.columns
        declared = tuple(column.name for column in self._feed.columns if column.name != self._feed.updated_at)
        for item in items:
            if item.outcome is not None:
                continue
            item.file.begin()
            if item.file.refusal is not None:
                item.end(Outcome.REFUSED, item.file.refusal)
                continue
            if not item.file.columns:
                continue
            there = {*item.file.columns, *self._feed.optional}
            missing = [name for name in dict.fromkeys((*last_columns, *declared)) if name not in there]
            if missing:
                whence = f"which {last.name} had" if last is not None and set(missing) <= set(last_columns) else "which the feed declares"
                item.end(
                    Outcome.REFUSED,
                    f"it has no column {', '.join(missing)}, {whence}; it has {', '.join(item.file.columns)}. "
                    f"Ask for the whole file, or add the column to the feed's `optional`",
                )
            else:
                last_columns = item.file.columns

    def _judge(self, items: Sequence[_Item], types: Mapping[str, ColumnType]) -> None:
        """Count each file's records, take its rejects, and refuse or block it where that is due."""
        counted = self._table.count_staged(types)
        rows_before = self._table.rows()
        for item in items:
            item.counted = counted.get(item.file.arrival, _NONE)
            allowed = max(self._feed.max_rejected, int(self._feed.max_rejected_share * item.records))
            if item.file.refusal is not None:
                item.end(Outcome.REFUSED, item.file.refusal)
            elif item.rejected > allowed:
                told = f"{item.rejected:,} of its {item.records:,} records are rejected, and max_rejected allows {allowed:,}"
                item.end(Outcome.REFUSED, told)
            elif self._feed.load == "replace" and not self._record.is_approved(self._feed.name, item.fetched.sha256):
                self._guard(item, rows_before)
            item.rejects = self._rejects(item, types) if item.rejected else ()

    def _guard(self, item: _Item, rows_before: int) -> None:
        rows = item.counted.records - item.counted.skipped - item.counted.faulty
        emptied = rows_before > 0 and rows == 0
        if emptied or is_halved(rows, rows_before):
            item.end(
                Outcome.BLOCKED,
                f"it has {rows:,} rows, and the table that it would replace has {rows_before:,}; "
                f"`dinmo approve {self._feed.name}` lets this very file pass",
            )

    def _rejects(self, item: _Item, types: Mapping[str, ColumnType]) -> tuple[Reject, ...]:
        limit = f"LIMIT {_TOLD_REJECTS}" if item.outcome == Outcome.REFUSED else ""
        faults = self._connection.execute(
            f"SELECT {RECORD}, {LINE}, {FAULT}, left({FAULT_VALUE}, {SHOWN}) FROM {STAGED} "
            f"WHERE {ARRIVAL} = {item.file.arrival} AND {FAULT} IS NOT NULL ORDER BY {RECORD} {limit}"
        ).fetchall()
        rejects = [Reject(record, line, column, value, f"it {types[column].complaint}") for record, line, column, value in faults]
        told = sorted((*item.file.rejects, *rejects), key=lambda reject: reject.record)
        return tuple(told[:_TOLD_REJECTS] if limit else told)

    def _warnings(self, item: _Item, known: Mapping[str, str]) -> Iterator[str]:
        yield from item.file.warnings
        new = [name for name in item.file.columns if known and name not in known]
        if new:
            yield f"it has new columns: {', '.join(new)}"
        updated_at = self._feed.updated_at
        if updated_at is not None and item.counted.undated and item.counted.records:
            yield f"no record has a value in {updated_at}, so the date in the file's name tells how new they are"


def _record_of(item: _Item, feed: FeedSpec, target: Target, now: datetime) -> FileRecord:
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
        columns=item.file.columns,
        records=item.records,
        loaded=counted.records - counted.skipped - counted.faulty if is_loaded else 0,
        skipped=counted.skipped,
        rejected=item.rejected,
        target=path,
        recorded_at=now,
        tidied=path is None,
    )
