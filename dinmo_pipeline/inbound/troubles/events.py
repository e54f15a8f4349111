"""What happened to files beside what `inbound.files` says of them: set aside, dismissed, approved. Kept in the warehouse for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any, Literal

import duckdb

EventKind = Literal["set aside", "gone", "dismissed", "approved"]


@dataclass(frozen=True)
class Event:
    """Something that became of a file, with its path in the inbox; `arrival` is the record that it is about, `by` the person."""

    at: datetime
    inbox: str
    feed: str
    file: str
    kind: EventKind
    reason: str | None = None
    arrival: int | None = None
    by: str | None = None


def kept_event(inbox: str, kept: Mapping[str, Any]) -> Event:
    """Return an event that the inbox's memory has kept."""
    return Event(**{**kept, "inbox": inbox, "at": datetime.fromisoformat(kept["at"])})


class Events:
    """The table `inbound.events`, which is made when it is missing."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        connection.execute("CREATE SCHEMA IF NOT EXISTS inbound")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS inbound.events (happened_at TIMESTAMP WITH TIME ZONE NOT NULL, inbox VARCHAR NOT NULL, "
            "feed VARCHAR NOT NULL, file VARCHAR NOT NULL, kind VARCHAR NOT NULL, reason VARCHAR, arrival BIGINT, decided_by VARCHAR)"
        )

    def add(self, events: Sequence[Event]) -> None:
        """Write them."""
        if events:
            self._connection.executemany("INSERT INTO inbound.events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [astuple(each) for each in events])

    def of_feed(self, feed: str) -> list[Event]:
        """Return all of a feed, oldest first."""
        return [
            Event(*row) for row in self._connection.execute("FROM inbound.events WHERE feed = ? ORDER BY happened_at", [feed]).fetchall()
        ]
