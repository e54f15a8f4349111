"""When something is late, over nights on which clocks are set, and days that places have skipped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from dagster._utils.schedules import schedule_execution_time_iterator
from hypothesis import given, settings
from hypothesis import strategies as st

from dinmo_pipeline.alerts.expected import Late, deadline_of, find_late, has_day, last_due_day, start_of
from dinmo_pipeline.project.schema.expected import Expected
from dinmo_pipeline.project.schema.limits import Limit, Measure, parse_limit

ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/Sao_Paulo",  # midnight was skipped, and came twice
    "America/Havana",
    "Asia/Beirut",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Apia",  # there was no 30 December 2011
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Antarctica/Troll",  # two hours
]
PARIS = ZoneInfo("Europe/Paris")
DAYS = st.dates(date(2000, 1, 1), date(2035, 12, 31))
TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
ANCIENT = date(1999, 1, 1)


def rows(*texts: str) -> tuple[Limit, ...]:
    return tuple(limit for text in texts if (limit := parse_limit(Measure.ROWS, text)) is not None)


def nothing(_day: date, _start: datetime) -> Sequence[int]:
    return ()


def late(expected: Expected, now: datetime, *came: int, zone: str = "Europe/Paris", since: date = ANCIENT) -> Late | None:
    return find_late(expected, zone, now=now, since=since, came=lambda _day, _start: came)


def paris(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS, fold=fold).astimezone(UTC)


def test_late_from_its_deadline_on_and_not_before() -> None:
    expected = Expected(by=time(7), grace=timedelta(minutes=30))
    assert late(expected, paris("2026-03-02T07:29:59"), since=date(2026, 3, 2)) is None
    found = late(expected, paris("2026-03-02T07:30:00"), since=date(2026, 3, 2))
    assert found is not None
    assert (found.day, found.text) == (date(2026, 3, 2), "nothing has come; it was expected by 07:00 on Monday, 2026-03-02")
    assert late(expected, paris("2026-03-02T07:30:00"), 5) is None
    # Until something comes, also on the next day.
    assert late(expected, paris("2026-03-03T03:00:00"), since=date(2026, 3, 2)) is not None
    assert late(expected, paris("2026-03-03T03:00:00"), since=date(2026, 3, 3)) is None


def test_days_and_exceptions_are_left_out() -> None:
    # 2 March 2026 is a Monday.
    expected = Expected(by=time(7), days=(0, 1, 2, 3, 4), exceptions=(date(2026, 3, 2),))
    for moment, day in [
        ("2026-03-01T23:59", date(2026, 2, 27)),
        ("2026-03-02T12:00", date(2026, 2, 27)),
        ("2026-03-03T07:00", date(2026, 3, 3)),
    ]:
        found = late(expected, paris(moment))
        assert found is not None
        assert found.day == day
    assert late(Expected(by=time(7), days=()), paris("2026-03-02T12:00")) is None


def test_rows_must_be_as_expected() -> None:
    expected = Expected(by=time(7), rows=rows(">= 1000", "< 5000"))
    noon = paris("2026-03-02T12:00")
    assert late(expected, noon, 1000) is None
    assert late(expected, noon, 12, 4999) is None
    found = late(expected, noon, 12)
    assert found is not None
    assert found.text == "it came with 12 rows; expected by 07:00 on Monday, 2026-03-02 were >= 1000 and < 5000 rows"
    assert late(expected, noon, 5000) is not None


@pytest.mark.parametrize(
    ("by", "deadline"),
    [
        # 29 March 2026: 02:00 to 03:00 is skipped. 25 October: it comes twice.
        (("2026-03-29", "02:30"), "2026-03-29T01:00:00+00:00"),
        (("2026-03-29", "03:00"), "2026-03-29T01:00:00+00:00"),
        (("2026-03-29", "01:59"), "2026-03-29T00:59:00+00:00"),
        (("2026-10-25", "02:30"), "2026-10-25T01:30:00+00:00"),
        (("2026-10-25", "03:00"), "2026-10-25T02:00:00+00:00"),
    ],
)
def test_deadline_on_nights_when_clocks_are_set(by: tuple[str, str], deadline: str) -> None:
    expected = Expected(by=time.fromisoformat(by[1]))
    assert deadline_of(expected, date.fromisoformat(by[0]), PARIS).isoformat() == deadline


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=60)
@given(day=DAYS, by=TIMES)
def test_deadline_is_the_instant_at_which_a_schedule_of_that_time_comes(zone: str, day: date, by: time) -> None:
    there = ZoneInfo(zone)
    if not has_day(day, there):
        return
    deadline = deadline_of(Expected(by=by), day, there)
    before = start_of(day, there) - timedelta(hours=3)
    cron = f"{by.minute} {by.hour} * * *"
    ticks = schedule_execution_time_iterator(before.timestamp(), cron, zone)
    instants = [next(ticks).timestamp() for _ in range(3)]
    if start_of(day, there).astimezone(there).time() == time():
        assert deadline.timestamp() in instants


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=60)
@given(day=DAYS, by=TIMES, grace=st.integers(0, 3 * 24 * 60))
def test_each_day_becomes_late_once_at_its_deadline(zone: str, day: date, by: time, grace: int) -> None:
    there = ZoneInfo(zone)
    expected = Expected(by=by, grace=timedelta(minutes=grace))
    if not has_day(day, there):
        assert last_due_day(expected, there, now=start_of(day, there) + timedelta(days=5), since=day) != day
        return
    deadline = deadline_of(expected, day, there)
    second = timedelta(seconds=1)
    assert start_of(day, there) <= deadline
    assert last_due_day(expected, there, now=deadline - second, since=day) is None
    assert last_due_day(expected, there, now=deadline, since=day) == day
    found = find_late(expected, zone, now=deadline, since=day, came=nothing)
    assert found is not None
    assert found.deadline == deadline


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=30)
@given(first=DAYS, by=TIMES)
def test_days_that_are_due_never_go_back(zone: str, first: date, by: time) -> None:
    expected = Expected(by=by)
    there = ZoneInfo(zone)
    now, seen = start_of(first, there), ANCIENT
    for _ in range(80):
        due = last_due_day(expected, there, now=now, since=first) or ANCIENT
        assert due >= seen
        seen = due
        now += timedelta(hours=1)
