"""What people are told of inboxes and feeds: what waits for a person in an inbox, and files that do not come when they are expected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from dinmo_pipeline.alerts.alert import Alert, Subject, key_of
from dinmo_pipeline.alerts.expected import Late, find_late, late_alert
from dinmo_pipeline.alerts.standing import StandingDraft, feed_standing, inbox_standing
from dinmo_pipeline.alerts.telling import Notifier
from dinmo_pipeline.inbound.record import Outcome
from dinmo_pipeline.inbound.troubles import Trouble, TroubleKind, open_troubles
from dinmo_pipeline.notify.contract import NoticeState
from dinmo_pipeline.project.specs import FeedSpec, Project, TableRef
from dinmo_pipeline.warehouse.connections import open_warehouse
from dinmo_pipeline.warehouse.tables import table_exists

_STATES: dict[TroubleKind, NoticeState] = {"unmatched": "warning", "rejected": "warning", "blocked": "blocked"}
_PASS = "the whole inbox"
# A long import has the warehouse; the next look asks again.
_WAIT_S = 5.0


def tell_troubles(project: Project, inbox: str, *, run: str | None = None, budget_s: float | None = None) -> tuple[str, ...]:
    """Tell what has changed of what waits for a person in an inbox; who could not be told and why, in words.

    For the end of a pass, when nothing is locked any more.
    """
    if not project.notifications:
        return ()
    notifier = Notifier(project, Subject("inbox", inbox, project.timezone), inbox_standing(project, inbox))
    return notifier.tell(lambda: open_troubles(project, inbox), lambda found, _: [*trouble_alerts(found)], run=run, budget_s=budget_s)


def trouble_alerts(troubles: Iterable[Trouble]) -> Iterable[Alert]:
    """An alert for each trouble. Those of one feed recover together."""
    for trouble in troubles:
        about = trouble.file or (f"feed {trouble.feed}" if trouble.feed else f"inbox {trouble.inbox}")
        yield Alert(
            key=key_of(trouble.key),
            state=_STATES.get(trouble.kind, "failed"),
            mark=trouble.kind,
            what=f"{about}: {trouble.kind}: {trouble.without_data}",
            advice=trouble.advice,
            since=trouble.since,
            group=_PASS if trouble.kind == "failed" else trouble.feed or "",
            of=(trouble.feed,) if trouble.feed else (),
        )


def tell_late_feed(project: Project, feed: FeedSpec, *, run: str | None = None, budget_s: float | None = None) -> tuple[str, ...]:
    """Tell that a feed is late, or no longer so; who could not be told and why, in words.

    BusyError while another process works in the warehouse: the next look tells it.
    """
    if feed.expected is None:
        return ()
    notifier = Notifier(project, Subject("feed", feed.name, feed.timezone), feed_standing(project, feed.name))

    def find() -> Late | None:
        since = feed_standing(project, feed.name).read().expected_since
        return find_late_feed(project, feed, since=since)

    def judge(late: Late | None, draft: StandingDraft) -> Sequence[Alert]:
        draft.expected_since(_today(project, feed))
        if late is None:
            return ()
        advice = f"See whether its sender has dropped one, and what lies in inbox {feed.inbox}: `dinmo status` tells more."
        return (late_alert(late, advice=advice, of=(feed.inbox,)),)

    return notifier.tell(find, judge, run=run, budget_s=budget_s)


def find_late_feed(project: Project, feed: FeedSpec, *, since: date | None) -> Late | None:
    """What is late of the feed now. Days count from `since` on, None: from today. Opens the warehouse; BusyError when that is in use.

    A file covers a day when it is loaded and has that date in its name, or came since the day began and is dated that day, later, or
    later than all that came before: some senders write the date of the data.
    """
    if feed.expected is None:
        return None
    return find_late(
        feed.expected,
        feed.timezone,
        now=project.clock(),
        since=since or _today(project, feed),
        came=lambda day, start: _rows_by_file_date(project, feed, day, start),
    )


def _today(project: Project, feed: FeedSpec) -> date:
    return project.clock().astimezone(ZoneInfo(feed.timezone)).date()


def _rows_by_file_date(project: Project, feed: FeedSpec, day: date, start: datetime) -> Sequence[int]:
    if not project.warehouse_path.exists():
        return ()
    taken = [str(Outcome.LOADED), str(Outcome.REPEATED)]
    with open_warehouse(project.warehouse_path, project.query_settings, wait_s=_WAIT_S) as connection:
        if not table_exists(connection, TableRef("inbound", "files")):
            return ()
        found = connection.execute(
            """
            WITH files AS (FROM inbound.files WHERE feed = $feed AND outcome IN (SELECT unnest($taken))),
            earlier AS (SELECT max(file_date) AS newest FROM files WHERE recorded_at < $start AND file_date <= $day)
            SELECT sum(CASE WHEN outcome = 'loaded' THEN loaded ELSE records END)::BIGINT
            FROM files, earlier
            WHERE file_date = $day
                OR (recorded_at >= $start AND (file_date > $day OR newest IS NULL OR file_date > newest))
            GROUP BY file_date
            """,
            {"feed": feed.name, "taken": taken, "day": day, "start": start},
        ).fetchall()
    return [int(rows) for (rows,) in found]
