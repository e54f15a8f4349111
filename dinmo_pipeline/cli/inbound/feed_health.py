"""How a feed is: what its last file came to and what of it waits for a person; the same of an inbox as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from dinmo_pipeline.alerts.alert_state import feed_alert_state
from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.inbound.load.feed_table import FeedTable
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, ImportLedger
from dinmo_pipeline.inbound.troubles.alerts import find_late_feed
from dinmo_pipeline.inbound.troubles.open_troubles import open_troubles
from dinmo_pipeline.inbound.troubles.troubles import Trouble
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.specs import Project


@dataclass(frozen=True)
class FeedHealth:
    """One feed: its last file and what came of it, the rows of its table, how it is and what to do; the instant is in the feed's zone.

    `troubles` are all that wait for a person, the gravest first; `late` says what was expected and has not come.
    """

    feed: str
    health: str
    last_file: str | None
    imported_at: datetime | None
    rows: int
    loaded: int | None
    rejected: int | None
    advice: str
    troubles: tuple[Trouble, ...] = ()
    late: str | None = None

    @property
    def needs_somebody(self) -> bool:
        """Whether a person has to do something."""
        return bool(self.troubles) or self.late is not None


@dataclass(frozen=True)
class InboxHealth:
    """What of an inbox waits for a person and is of no one feed: files that fit none, lines that could not be read, failed passes."""

    inbox: str
    troubles: tuple[Trouble, ...]


def inbound_health(project: Project) -> tuple[list[FeedHealth], list[InboxHealth]]:
    """Return every feed and every inbox of the project, as what is kept says; opens the warehouse where there is one."""
    # Before the warehouse is open: the first time after an upgrade they are read from it.
    troubles = {name: open_troubles(project, name) for name in project.inboxes}
    inboxes = [InboxHealth(name, tuple(each for each in found if each.feed is None)) for name, found in troubles.items()]
    of_feed = {name: tuple(each for each in troubles.get(feed.inbox, ()) if each.feed == name) for name, feed in project.feeds.items()}
    feeds = list(project.feeds.values())
    if not feeds:
        return [], inboxes
    late = {feed.name: _late(project, feed) for feed in feeds}
    if not project.warehouse_path.exists():
        return [_health(feed, None, 0, of_feed[feed.name], late[feed.name]) for feed in feeds], inboxes
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        record = ImportLedger(connection)
        last = {feed.name: next(iter(record.of_feed(feed.name, limit=1)), None) for feed in feeds}
        rows = {feed.name: FeedTable(connection, feed).rows() for feed in feeds}
    return [_health(feed, last[feed.name], rows[feed.name], of_feed[feed.name], late[feed.name]) for feed in feeds], inboxes


def _late(project: Project, feed: FeedSpec) -> str | None:
    """Return what was expected of the feed and has not come, in words."""
    late = find_late_feed(project, feed, since=feed_alert_state(project, feed.name).read().expected_since, wait_s=None)
    return None if late is None else late.text


def _health(feed: FeedSpec, last: FileRecord | None, rows: int, troubles: tuple[Trouble, ...], late: str | None) -> FeedHealth:
    health = troubles[0].kind if troubles else "late" if late is not None else "new" if last is None else "ok"
    if troubles:
        advice = f"{troubles[0].reason}; {troubles[0].advice}" + f"; and {len(troubles) - 1:,} more" * (len(troubles) > 1)
        advice += "" if late is None else f"; late: {late}"
    elif late is not None:
        advice = f"{late}: ask its sender, and see what lies in inbox {feed.inbox}"
    elif last is None:
        advice = f"no file yet: drop one into raw of inbox {feed.inbox}, then `dinmo import`"
    else:
        advice = f"{last.reason}: nothing to do" if last.reason else ""
    return FeedHealth(
        feed=feed.name,
        health=health,
        last_file=None if last is None else last.name,
        imported_at=None if last is None else last.recorded_at.astimezone(ZoneInfo(feed.timezone)),
        rows=rows,
        loaded=None if last is None else last.loaded,
        rejected=None if last is None else last.rejected,
        advice=advice,
        troubles=troubles,
        late=late,
    )
