"""How a feed is: what its last file came to, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from dinmo_pipeline.inbound.feed_tables import FeedTable
from dinmo_pipeline.inbound.record import FileRecord, Outcome, Record
from dinmo_pipeline.project.specs import FeedSpec, Project
from dinmo_pipeline.warehouse.connections import open_warehouse


@dataclass(frozen=True)
class FeedHealth:
    """One feed: its last file and what came of it, the rows of its table, how it is and what to do; the instant is in the feed's zone."""

    feed: str
    health: str
    last_file: str | None
    imported_at: datetime | None
    rows: int
    loaded: int | None
    rejected: int | None
    advice: str

    @property
    def needs_somebody(self) -> bool:
        """Whether a person has to do something."""
        return self.health in (Outcome.REFUSED, Outcome.BLOCKED)


def feeds_health(project: Project) -> Iterator[FeedHealth]:
    """Every feed of the project, as its record says; opens the warehouse where there is one."""
    if not project.feeds:
        return
    if not project.warehouse_path.exists():
        yield from (_health(feed, None, 0) for feed in project.feeds.values())
        return
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        record = Record(connection)
        for feed in project.feeds.values():
            yield _health(feed, next(iter(record.of_feed(feed.name, limit=1)), None), FeedTable(connection, feed).rows())


def _health(feed: FeedSpec, last: FileRecord | None, rows: int) -> FeedHealth:
    if last is None:
        advice = f"no file yet: drop one into raw of inbox {feed.inbox}, then `dinmo import`"
        return FeedHealth(feed.name, "new", None, None, rows, None, None, advice)
    stopped = last.outcome in (Outcome.REFUSED, Outcome.BLOCKED)
    advice = f"{last.reason}" if stopped else f"{last.reason}: nothing to do" if last.reason else ""
    if last.outcome == Outcome.REFUSED:
        advice += f"; it lies in {last.target}"
    return FeedHealth(
        feed=feed.name,
        health=str(last.outcome) if stopped else "ok",
        last_file=last.name,
        imported_at=last.recorded_at.astimezone(ZoneInfo(feed.timezone)),
        rows=rows,
        loaded=last.loaded,
        rejected=last.rejected,
        advice=advice,
    )
