"""Whether something is late: a pure function of what is expected, the time zone, the moment, and what has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dinmo_pipeline.alerts.alert import Alert
from dinmo_pipeline.project.schema.expected import Expected

LATE = "late"
"""The key, the mark and the group of what is told of it: late for days is told once."""
_MOST_DAYS = 400
_MIDNIGHT = time()


@dataclass(frozen=True)
class Late:
    """What was expected on `day` has not come by `deadline`, the grace included; `came` are numbers of rows that were not as expected."""

    day: date
    deadline: datetime
    expected: Expected
    came: tuple[int, ...]

    @property
    def text(self) -> str:
        """What is missing, in words without data."""
        by = f"by {self.expected.by:%H:%M} on {self.day:%A, %Y-%m-%d}"
        if not self.came:
            return f"nothing has come; it was expected {by}"
        rows = " and ".join(limit.text for limit in self.expected.rows)
        return f"it came with {' and '.join(f'{count:,}' for count in self.came)} rows; expected {by} were {rows} rows"


Came = Callable[[date, datetime], Sequence[int]]
"""What came for a day that began at that instant: the number of rows of each file or sync."""


def find_late(expected: Expected, timezone: str, *, now: datetime, since: date, came: Came) -> Late | None:
    """Return what is late at `now` (aware), if anything is.

    Only the last day whose deadline has passed counts: whatever comes later makes up for the days before. Days before `since` do not.
    """
    zone = ZoneInfo(timezone)
    due = last_due_day(expected, zone, now=now, since=since)
    if due is None:
        return None
    found = tuple(came(due, start_of(due, zone)))
    if any(expected.is_met_by(rows) for rows in found):
        return None
    return Late(due, deadline_of(expected, due, zone), expected, found)


def last_due_day(expected: Expected, zone: ZoneInfo, *, now: datetime, since: date) -> date | None:
    """Return the last day, from `since` on, on which something was expected and whose deadline has passed."""
    day = now.astimezone(zone).date()
    for _ in range(_MOST_DAYS):
        if day < since:
            return None
        if expected.comes_on(day) and has_day(day, zone) and deadline_of(expected, day, zone) <= now:
            return day
        day -= timedelta(days=1)
    return None


def deadline_of(expected: Expected, day: date, zone: ZoneInfo) -> datetime:
    """Return when it is late, in UTC.

    `by` as the zone's clocks show it, for the second time where they do so twice, and the grace after it.

    Where they skip it, the first moment after the gap. Schedules come at the same instants.
    """
    return _instant(day, expected.by, zone, fold=1) + expected.grace


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a day there, in UTC."""
    return _instant(day, _MIDNIGHT, zone, fold=0)


def has_day(day: date, zone: ZoneInfo) -> bool:
    """Return whether there is such a day: places that changed sides of the date line have skipped one."""
    return start_of(day, zone).astimezone(zone).date() == day


def late_alert(late: Late, *, advice: str, of: tuple[str, ...] = ()) -> Alert:
    """Return what people are told of it."""
    return Alert(LATE, "late", LATE, late.text, advice, late.deadline, group=LATE, of=of)


def _instant(day: date, at: time, zone: ZoneInfo, *, fold: int) -> datetime:
    shown = datetime.combine(day, at, zone)
    while not _exists(shown):
        shown += timedelta(minutes=1)
    return shown.replace(fold=fold).astimezone(UTC)


def _exists(shown: datetime) -> bool:
    return shown.astimezone(UTC).astimezone(shown.tzinfo).replace(tzinfo=None, fold=0) == shown.replace(tzinfo=None, fold=0)
