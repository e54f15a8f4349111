"""The record of imported files, in the warehouse: written in one transaction with their rows, so that each counts exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime
from enum import StrEnum
from itertools import islice
from typing import Any

import duckdb

from dinmo_pipeline.formats.reader import Reject
from dinmo_pipeline.inbound.inbox.discovery import version_label
from dinmo_pipeline.inbound.inbox.scan_state import Fingerprint

_ROWS_A_STATEMENT = 100
_COLUMNS = {
    "arrival": "BIGINT PRIMARY KEY",
    "inbox": "VARCHAR NOT NULL",
    "feed": "VARCHAR NOT NULL",
    "folder": "VARCHAR NOT NULL",
    "name": "VARCHAR NOT NULL",
    "bytes": "BIGINT NOT NULL",
    "modified": "TIMESTAMP WITH TIME ZONE",
    "sha256": "VARCHAR NOT NULL",
    "file_date": "DATE NOT NULL",
    "outcome": "VARCHAR NOT NULL",
    "reason": "VARCHAR",
    "warnings": "VARCHAR[] NOT NULL",
    "columns": "VARCHAR[] NOT NULL",
    "records": "BIGINT NOT NULL",
    "loaded": "BIGINT NOT NULL",
    "skipped": "BIGINT NOT NULL",
    "rejected": "BIGINT NOT NULL",
    "target": "VARCHAR",
    "recorded_at": "TIMESTAMP WITH TIME ZONE NOT NULL",
    "tidied": "BOOLEAN NOT NULL",
}
_REJECT_COLUMNS = {
    "arrival": "BIGINT",
    "feed": "VARCHAR",
    "file": "VARCHAR",
    "record": "BIGINT",
    "line": "BIGINT",
    "column": "VARCHAR",
    "value": "VARCHAR",
    "reason": "VARCHAR",
}
_REJECTS = ", ".join(f"unnest(?::{type_}[])" for type_ in _REJECT_COLUMNS.values())
_REJECTS_A_STATEMENT = 50_000


class Outcome(StrEnum):
    """What became of a file: loaded; refused as a whole; its bytes or a newer file loaded before it; or it waits for a person's word."""

    LOADED = "loaded"
    REFUSED = "refused"
    REPEATED = "repeated"
    OUTDATED = "outdated"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class FileRecord:
    """One file that was looked at, and what became of it; `arrival` counts all of them from 1.

    `folder` and `name` tell where it lay in its inbox, `target` where it goes (None: it stays), `tidied` whether it has gone there.
    `records` = `loaded` + `skipped` (no key) + `rejected`, save that of a refused file nothing is loaded.
    """

    arrival: int
    inbox: str
    feed: str
    folder: str
    name: str
    bytes: int
    modified: datetime | None
    sha256: str
    file_date: date
    outcome: Outcome
    reason: str | None
    warnings: tuple[str, ...]
    columns: tuple[str, ...]
    records: int
    loaded: int
    skipped: int
    rejected: int
    target: str | None
    recorded_at: datetime
    tidied: bool = False

    @property
    def path(self) -> str:
        """Where it lay, from the inbox's folder."""
        return f"{self.folder}/{self.name}"

    @property
    def label(self) -> str:
        """What people call this version of the file, as before it was taken."""
        return version_label(self.name, Fingerprint(self.bytes, self.modified))


class ImportLedger:
    """The tables `inbound.files` and `inbound.rejects`, which are made when they are missing."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        columns = ", ".join(f"{name} {type_}" for name, type_ in _COLUMNS.items())
        connection.execute("CREATE SCHEMA IF NOT EXISTS inbound")
        connection.execute(f"CREATE TABLE IF NOT EXISTS inbound.files ({columns})")
        rejects = ", ".join(f'"{name}" {type_}' for name, type_ in _REJECT_COLUMNS.items())
        connection.execute(f"CREATE TABLE IF NOT EXISTS inbound.rejects ({rejects})")
        connection.execute("CREATE TABLE IF NOT EXISTS inbound.approvals (feed VARCHAR, sha256 VARCHAR)")

    def next_arrival(self) -> int:
        """Return the number of the next file."""
        [(arrival,)] = self._connection.execute("SELECT coalesce(max(arrival), 0) + 1 FROM inbound.files").fetchall()
        return int(arrival)

    def add(self, recorded: Sequence[tuple[FileRecord, Sequence[Reject]]]) -> None:
        """Write what became of files, and their rejects."""
        self._insert([[_plain(value) for value in astuple(record)] for record, _ in recorded])
        rows = (
            (made.arrival, made.feed, made.name, each.record, each.line, each.column, each.value, each.reason)
            for made, rejects in recorded
            for each in rejects
        )
        while some := list(islice(rows, _REJECTS_A_STATEMENT)):
            # As lists of columns: a million values that stand in a statement one by one take minutes.
            self._connection.execute(f"INSERT INTO inbound.rejects SELECT {_REJECTS}", list(map(list, zip(*some, strict=True))))

    def rejects(self, arrival: int, *, limit: int | None = None) -> list[Reject]:
        """Read the rejects of a file that were recorded, in its order; the first `limit` of them."""
        found = self._connection.execute(
            'SELECT record, line, "column", value, reason FROM inbound.rejects WHERE arrival = ? ORDER BY record LIMIT ?', [arrival, limit]
        )
        return [Reject(*row) for row in found.fetchall()]

    def finish(self, arrivals: Sequence[int]) -> None:
        """Note that these files have gone where they go."""
        self._connection.execute("UPDATE inbound.files SET tidied = true WHERE arrival IN (SELECT unnest(?))", [list(arrivals)])

    def unfinished(self, inbox: str) -> list[FileRecord]:
        """Return the files of an inbox that still lie where they were found."""
        return self.find("inbox = ? AND NOT tidied", [inbox])

    def latest(self, feed: str, paths: Sequence[str]) -> dict[str, FileRecord]:
        """Return, by path, the newest record of each file of that feed that lay at one of these."""
        found = self.find("feed = ? AND folder || '/' || name IN (SELECT unnest(?))", [feed, list(paths)])
        return {record.path: record for record in found}

    def of_feed(self, feed: str, *, limit: int | None = 20) -> list[FileRecord]:
        """Return the last files of a feed, or all where there is no limit, oldest first."""
        return self.find("feed = ?", [feed], last=limit)

    def last_loaded(self, feed: str, *, with_columns: bool = False) -> FileRecord | None:
        """Return the file of a feed that was loaded last; the last one that had columns, if that is asked for."""
        columns = " AND len(columns) > 0" if with_columns else ""
        last = f"arrival = (SELECT max(arrival) FROM inbound.files WHERE feed = ? AND outcome = ?{columns})"
        found = self.find(last, [feed, Outcome.LOADED])
        return found[0] if found else None

    def loaded_with(self, feed: str, sha256s: Sequence[str]) -> list[FileRecord]:
        """Return the files that were loaded into this feed with one of these checksums, in the order of their arrival."""
        # All at once: each question reads the record of every file that ever came.
        return self.find("feed = ? AND outcome = ? AND sha256 IN (SELECT unnest(?))", [feed, Outcome.LOADED, list(sha256s)])

    def loaded_between(self, feed: str, first: date, last: date) -> list[FileRecord]:
        """Return the files with columns that were loaded into this feed and have a date from `first` to `last`, and the two before."""
        loaded = "feed = ? AND outcome = ? AND len(columns) > 0"
        before = f"SELECT arrival FROM inbound.files WHERE {loaded} AND file_date < ? ORDER BY file_date DESC, arrival DESC LIMIT 2"
        between = f"{loaded} AND file_date BETWEEN ? AND ? OR arrival IN ({before})"
        return self.find(between, [feed, Outcome.LOADED, first, last, feed, Outcome.LOADED, first])

    def approve(self, feed: str, sha256: str) -> None:
        """Let the file with these bytes pass the guards of its feed."""
        self._connection.execute("INSERT INTO inbound.approvals VALUES (?, ?)", [feed, sha256])

    def is_approved(self, feed: str, sha256: str) -> bool:
        """Return whether somebody let these bytes pass."""
        found = self._connection.execute("SELECT 1 FROM inbound.approvals WHERE feed = ? AND sha256 = ?", [feed, sha256])
        return bool(found.fetchall())

    def _insert(self, rows: Sequence[Sequence[object]]) -> None:
        # Many rows a statement: one of its own for each would take longer than to read a small file.
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            some = rows[start : start + _ROWS_A_STATEMENT]
            holders = ", ".join(f"({', '.join('?' * len(row))})" for row in some)
            self._connection.execute(f"INSERT INTO inbound.files VALUES {holders}", [value for row in some for value in row])

    def find(self, condition: str, parameters: Sequence[object], *, last: int | None = None) -> list[FileRecord]:
        """Return those that the condition is true of, or the `last` of them, in the order of their arrival."""
        limit = "" if last is None else f" LIMIT {last}"
        rows = self._connection.execute(
            f"FROM (SELECT * FROM inbound.files WHERE {condition} ORDER BY arrival DESC{limit}) ORDER BY arrival", list(parameters)
        ).fetchall()
        return [_record(row) for row in rows]


def _record(row: tuple[Any, ...]) -> FileRecord:
    values = dict(zip((field.name for field in fields(FileRecord)), row, strict=True))
    values |= {"outcome": Outcome(values["outcome"]), "warnings": tuple(values["warnings"]), "columns": tuple(values["columns"])}
    return FileRecord(**values)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Outcome) else value
