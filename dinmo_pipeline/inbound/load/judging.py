"""Which files of a batch count, and which of their records: decided in the order of their arrival, each by what was accepted before it.

Columns, widths and checksums are learned from accepted files alone, so what is refused or rejected changes nothing for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from dinmo_pipeline.formats.file_kinds import kind_problem
from dinmo_pipeline.formats.reader import LINE, RECORD, SHOWN, Reject, listed
from dinmo_pipeline.inbound.inbox.discovery import Arrival
from dinmo_pipeline.inbound.load.column_types import Shape
from dinmo_pipeline.inbound.load.earlier_files import EarlierFiles, KnownBytes, LoadedFile
from dinmo_pipeline.inbound.load.feed_table import Counted, FeedTable
from dinmo_pipeline.inbound.load.import_ledger import Outcome
from dinmo_pipeline.inbound.load.staging import ARRIVAL, FAULT, FAULT_VALUE, STAGED, InboundFile, Staged, column_types, stage
from dinmo_pipeline.inbound.load.widths import Widths
from dinmo_pipeline.intake_limits import how_to_raise
from dinmo_pipeline.project.inbound_specs import FeedSpec

# Of a refused file so many rejects tell enough.
_TOLD_REJECTS = 1_000
_NONE = Counted(records=0, skipped=0, faulty=0, undated=True)


@dataclass(frozen=True)
class Fetched:
    """A file that was copied to this machine: where it lay, the copy, and its content's SHA-256."""

    arrival: Arrival
    local_path: Path
    sha256: str

    @property
    def date(self) -> date:
        """The date in its name."""
        return self.arrival.match.date


@dataclass
class Item:
    """A fetched file while it is decided on; `outcome` is None as long as it is to be loaded. `columns` are those of its good records."""

    fetched: Fetched
    file: InboundFile
    outcome: Outcome | None = None
    reason: str | None = None
    counted: Counted = _NONE
    rejects: tuple[Reject, ...] = ()
    warnings: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    missed: str | None = None

    def end(self, outcome: Outcome, reason: str) -> None:
        """Refuse the file for this reason."""
        self.outcome, self.reason = outcome, reason

    def refuse_unreadable(self) -> bool:
        """Refuse the file if it could not be read, with what it is where that shows; whether it was refused so."""
        refusal = self.file.refusal
        if refusal is None:
            return False
        self.end(Outcome.REFUSED, kind_problem(self.fetched.local_path, self.fetched.arrival.name, refusal) or refusal)
        return True

    def begin(self) -> None:
        """Open the file anew, with nothing decided; refuses it where that fails."""
        self.outcome = self.reason = self.missed = None
        self.counted, self.rejects = _NONE, ()
        self.file.begin()
        self.columns = self.file.columns
        self.refuse_unreadable()

    def forget_content(self) -> None:
        """Count nothing of it, as where it comes in a later pass and is known before it is read."""
        self.counted, self.rejects, self.columns = _NONE, (), ()
        self.file.rejects = []

    @property
    def rejected(self) -> int:
        """How many of its records are rejected."""
        return len(self.file.rejects) + self.counted.faulty

    @property
    def records(self) -> int:
        """How many records it has."""
        return len(self.file.rejects) + self.counted.records

    @property
    def rows(self) -> int:
        """How many of them are to be loaded."""
        return self.counted.records - self.counted.skipped - self.counted.faulty

    @property
    def as_loaded(self) -> LoadedFile:
        """What it says of later files, once it is loaded."""
        return LoadedFile(self.fetched.date, self.file.arrival, self.fetched.arrival.name, self.columns)


@dataclass(frozen=True)
class Decided:
    """What is to be loaded of STAGED: the good rows of `accepted`, with columns of these shapes.

    `texts` are columns some of whose values are staged as texts.
    """

    accepted: Sequence[Item]
    staged: Staged
    shapes: dict[str, Shape]
    texts: set[str]


class Judge:
    """Decides on files of one feed. `guard` may end an item that would otherwise be loaded."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        feed: FeedSpec,
        table: FeedTable,
        earlier: EarlierFiles,
        known_bytes: KnownBytes,
        guard: Callable[[Item], None],
        most_rejects: int,
    ) -> None:
        self._connection = connection
        self._feed = feed
        self._table = table
        self._earlier = earlier
        self._known_bytes = known_bytes
        self._guard = guard
        self._most_rejects = most_rejects

    def decide(self, items: Sequence[Item]) -> Decided:
        """Stage the items, which have begun and have columns, and end those that are not to be loaded.

        Reads them once, and again where the numbers of a column do not fit one DECIMAL, or where the file is refused that the
        columns were staged by.
        """
        types = column_types(self._feed, dict.fromkeys(name for item in items for name in item.file.columns))
        known = self._table.shapes(types)
        as_text: set[str] = set()
        guess = True
        while True:
            files = [item.file for item in items]
            staged = stage(self._connection, files, types, known, key=self._feed.primary_key, as_text=as_text, guess=guess)
            widths = Widths(self._connection, self._table, staged, known, replacing=self._feed.load == "replace")
            contested = widths.contested
            if not contested:
                accepted = self._accepted(items, staged, widths)
                final = widths.final(dict.fromkeys(name for item in accepted for name in item.columns))
                if final is not None:
                    self._learn(accepted)
                    return Decided(accepted, staged, *final)
                guess = False
            as_text |= contested
            for item in items:
                item.begin()

    def _accepted(self, items: Sequence[Item], staged: Staged, widths: Widths) -> list[Item]:
        earlier, known_bytes = self._earlier.copy(), self._known_bytes.copy()
        counted = self._table.count_staged(staged)
        accepted = []
        for item in items:
            arrival = item.file.arrival
            if widths.try_file(arrival):
                counted |= self._table.count_staged(staged, arrival)
            item.counted = counted.get(arrival, _NONE)
            self._judge(item, staged, widths, earlier, known_bytes)
            if item.outcome is None:
                accepted.append(item)
                widths.accept(arrival)
                earlier.add(item.as_loaded)
                known_bytes.add(item.fetched.sha256, item.as_loaded, item.rejected)
        return accepted

    def _learn(self, accepted: Sequence[Item]) -> None:
        for item in accepted:
            self._earlier.add(item.as_loaded)

    def _judge(self, item: Item, staged: Staged, widths: Widths, earlier: EarlierFiles, known_bytes: KnownBytes) -> None:
        repeated = known_bytes.known_as(item.fetched.sha256, item.fetched.date)
        if item.refuse_unreadable():
            return
        if repeated is not None:
            item.end(Outcome.REPEATED, repeated)
            item.forget_content()
            return
        item.rejects = self._rejects(item, staged, widths)
        item.columns = self._columns(item, staged)
        missing, item.missed = None, None
        if item.columns:
            missing, item.missed = earlier.missed(item.columns, item.fetched.date, item.file.arrival)
            missing = earlier.undeclared(item.columns) or missing
        if missing is not None:
            item.end(Outcome.REFUSED, told_missing(missing, item.columns))
        elif (too_few := self._too_few_good(item)) is not None:
            item.end(Outcome.REFUSED, too_few)
        else:
            self._guard(item)

    def _too_few_good(self, item: Item) -> str | None:
        """Why its rejects, or records without a key, refuse the file; None where they do not."""
        allowed = self._allowed(item)
        if item.rejected > allowed:
            told = f"{item.rejected:,} of its {item.records:,} records are rejected, and max_rejected allows {allowed:,}"
        elif item.records and not item.rows:
            told = self._none_good(item)
        elif item.rejected > self._most_rejects:
            told = f"{item.rejected:,} of its records are rejected, more than {self._most_rejects:,}: {how_to_raise('rejected_records')}"
        else:
            return None
        return f"{told}; the first, {item.rejects[0].told}" if item.rejects else told

    def _none_good(self, item: Item) -> str:
        skipped, key = item.counted.skipped, ", ".join(self._feed.primary_key)
        if not skipped:
            return f"all {item.records:,} of its records are rejected" if item.records > 1 else "its only record is rejected"
        if item.rejected:
            return f"of its {item.records:,} records {skipped:,} lack a value of the key {key}, and all others are rejected"
        told = f"all {item.records:,} of its records lack" if item.records > 1 else "its only record lacks"
        return f"{told} a value of the key {key}; ask for the file with it, or correct the feed's `primary_key`"

    def _allowed(self, item: Item) -> int:
        return max(self._feed.max_rejected, int(self._feed.max_rejected_share * item.records))

    def _columns(self, item: Item, staged: Staged) -> tuple[str, ...]:
        """Return the columns of the file without those that only records have that are not loaded."""
        columns = item.file.columns
        if not item.file.records_name_columns or not item.counted.skipped + item.counted.faulty:
            return columns
        filled = ", ".join(f"coalesce(bool_or({staged.filled(name)}), false)" for name in columns)
        [found] = self._connection.execute(
            f"SELECT {filled} FROM {STAGED} WHERE {ARRIVAL} = {item.file.arrival} AND {staged.good}"
        ).fetchall()
        if all(found):
            return columns
        bad = self._connection.execute(f"SELECT {RECORD} FROM {STAGED} WHERE {ARRIVAL} = {item.file.arrival} AND NOT ({staged.good})")
        return item.file.columns_without({record for (record,) in bad.fetchall()})

    def _rejects(self, item: Item, staged: Staged, widths: Widths) -> tuple[Reject, ...]:
        """Return its rejects, in the file's order; where they are too many the first of them, since all are kept in memory."""
        most = item.rejected if item.rejected <= min(self._allowed(item), self._most_rejects) else _TOLD_REJECTS
        faults = []
        if item.counted.faulty:
            faults = self._connection.execute(
                f"SELECT {RECORD}, {LINE}, {FAULT}, left({FAULT_VALUE}, {SHOWN}) FROM {STAGED} "
                f"WHERE {ARRIVAL} = {item.file.arrival} AND {FAULT} IS NOT NULL ORDER BY {RECORD} LIMIT {most}"
            ).fetchall()
        rejects = [
            Reject(record, line, column, value, f"it {staged.types[column].complaint(value, widths.shape(column))}")
            for record, line, column, value in faults
        ]
        return tuple(sorted((*item.file.rejects, *rejects), key=lambda reject: reject.record)[:most])


def told_missing(missing: str, columns: Sequence[str]) -> str:
    """Return why a file with these columns is refused, given what is `missing`, and what to do about it."""
    return f"{missing}; it has {listed(columns)}. Ask for the whole file, or add the column to the feed's `optional`"
