"""What people are told of inboxes and feeds: what waits for a person in an inbox, and files that do not come when they are expected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from dinmo_pipeline.alerts.alert import Alert, Subject, key_of
from dinmo_pipeline.alerts.alert_state import AlertStateUpdate, Failure, feed_alert_state, inbox_alert_state
from dinmo_pipeline.alerts.expected import Late, find_late, late_alert
from dinmo_pipeline.alerts.notifier import Notifier
from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.engines.duckdb.tables import table_exists
from dinmo_pipeline.errors import BusyError, DinmoError
from dinmo_pipeline.inbound.load.import_ledger import Outcome
from dinmo_pipeline.inbound.troubles.open_troubles import open_troubles
from dinmo_pipeline.inbound.troubles.troubles import Trouble, TroubleKind
from dinmo_pipeline.notify.base import NoticeState
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.project.table_refs import TableRef

_STATES: dict[TroubleKind, NoticeState] = {"unmatched": "warning", "rejected": "warning", "blocked": "blocked"}
_PASS = "the whole inbox"
# A long import has the warehouse; the next look asks again.
_WAIT_S = 5.0


LOOK = "look"
"""The attempt that is only a look at an inbox; all others are called as the feed whose files they import."""


def notify_troubles(
    project: Project,
    inbox: str,
    *,
    attempt: str = LOOK,
    error: BaseException | None = None,
    run: str | None = None,
    budget_s: float | None = None,
) -> tuple[str, ...]:
    """Tell what has changed of what waits for a person in an inbox; who could not be told and why, in words.

    For the end of a pass, when nothing is locked any more; `error` is what ended the `attempt`, if anything did. That another process
    had the inbox is nobody's trouble.
    """
    if not project.notifications:
        return ()
    file = inbox_alert_state(project, inbox)
    if not isinstance(error, BusyError) and (error is not None or file.read().failure is not None):
        with file.changed() as draft:
            draft.failed(_failure(project, draft.alert_state.failure, attempt, error, run))
    notifier = Notifier(project, Subject("inbox", inbox, project.timezone), inbox_alert_state(project, inbox))
    return notifier.tell(
        lambda: open_troubles(project, inbox),
        lambda found, draft: [*trouble_alerts(found), *_failure_alerts(found, draft.alert_state.failure)],
        run=run,
        budget_s=budget_s,
    )


def trouble_alerts(troubles: Iterable[Trouble]) -> Iterable[Alert]:
    """Yield an alert for each trouble. Those of one feed recover together."""
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


def _failure(project: Project, earlier: Failure | None, attempt: str, error: BaseException | None, run: str | None) -> Failure | None:
    """Return what is known of attempts that failed after this one.

    The last one that did, until the same attempt, or an import, ends well.
    """
    if error is None:
        return earlier if earlier is not None and attempt == LOOK and earlier.definitions != LOOK else None
    now = project.clock()
    words = f"an unexpected {type(error).__name__}; the run's log has it"
    failure = Failure(
        error=type(error).__name__,
        text=str(error),
        without_data=error.without_data if isinstance(error, DinmoError) else words,
        lasting=False,
        at=now,
        since=now,
        attempts=1,
        definitions=attempt,
        run=run,
    )
    if earlier is None or earlier.error != failure.error:
        return failure
    return replace(failure, since=earlier.since, attempts=earlier.attempts + 1)


def _failure_alerts(troubles: Iterable[Trouble], failure: Failure | None) -> Iterable[Alert]:
    """Yield an alert of an attempt that failed, unless that is one of the troubles already."""
    if failure is None or any(trouble.kind == "failed" for trouble in troubles):
        return
    mark = f"failed: {failure.error}"
    of = () if failure.definitions == LOOK else (failure.definitions,)
    what = "looking into the inbox" if not of else f"importing files of {failure.definitions}"
    yield Alert(
        mark,
        "failed",
        mark,
        f"{what}: {failure.without_data}",
        "`dinmo import` tries again.",
        failure.since,
        failure.run,
        group=_PASS,
        of=of,
    )


def notify_import(project: Project, inbox: str, *, attempt: str, error: BaseException | None, run: str | None) -> tuple[str, ...]:
    """Tell what has changed after an import, also of feeds that are late or no longer so; who could not be told and why, in words."""
    lines = [*notify_troubles(project, inbox, attempt=attempt, error=error, run=run)]
    for feed in project.feeds.values():
        if feed.inbox == inbox and feed.expected is not None:
            try:
                lines += notify_late_feed(project, feed, run=run)
            except BusyError as busy:
                lines.append(f"whether {feed.name} is late is seen at the next look: {busy}")
    return tuple(lines)


def notify_late_feed(project: Project, feed: FeedSpec, *, run: str | None = None, budget_s: float | None = None) -> tuple[str, ...]:
    """Tell that a feed is late, or no longer so; who could not be told and why, in words.

    BusyError while another process works in the warehouse: the next look tells it.
    """
    if feed.expected is None:
        return ()
    notifier = Notifier(project, Subject("feed", feed.name, feed.timezone), feed_alert_state(project, feed.name))

    def find() -> Late | None:
        since = feed_alert_state(project, feed.name).read().expected_since
        return find_late_feed(project, feed, since=since)

    def judge(late: Late | None, draft: AlertStateUpdate) -> Sequence[Alert]:
        draft.expected_since(_today(project, feed))
        if late is None:
            return ()
        advice = f"See whether its sender has dropped one, and what lies in inbox {feed.inbox}: `dinmo status` tells more."
        return (late_alert(late, advice=advice, of=(feed.inbox,)),)

    return notifier.tell(find, judge, run=run, budget_s=budget_s)


def find_late_feed(project: Project, feed: FeedSpec, *, since: date | None, wait_s: float | None = _WAIT_S) -> Late | None:
    """Return what is late of the feed now.

    Days count from `since` on, None: from today. Opens the warehouse; BusyError when that is in use for longer than `wait_s` seconds
    (None: as long as any other command waits).
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
        came=lambda day, start: _rows_by_file_date(project, feed, day, start, wait_s),
    )


def _today(project: Project, feed: FeedSpec) -> date:
    return project.clock().astimezone(ZoneInfo(feed.timezone)).date()


def _rows_by_file_date(project: Project, feed: FeedSpec, day: date, start: datetime, wait_s: float | None) -> Sequence[int]:
    if not project.warehouse_path.exists():
        return ()
    taken = [str(Outcome.LOADED), str(Outcome.REPEATED)]
    with open_warehouse(project.warehouse_path, project.query_settings, wait_s=wait_s) as connection:
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
