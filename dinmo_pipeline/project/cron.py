"""Cron expressions: are they valid, and when do they come.

The five fields that every cron knows, with names, lists, ranges, steps, `L` for the last day of the month, and `@daily`
and its like: what Dagster's scheduler takes too, so that what passes here does not fail there. Around a change of the clocks that
scheduler itself is asked when they come; on all other days its import, which takes seconds, is spared.
"""

from __future__ import annotations

import heapq
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import islice

_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_WEEKDAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_LAST_DAY = "l"
_LEAP_YEAR = 2024
_DAY = timedelta(days=1)
_KEY = "%Y-%m-%dT%H:%M:%S%z"
_HOURS_OF_A_DAY = 24


class _BadCron(ValueError):
    """The expression is no cron; its text says which part."""


@dataclass(frozen=True)
class _Field:
    name: str
    first: int
    last: int
    names: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _WEEKDAYS),
)


@dataclass(frozen=True)
class _Cron:
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    last_day: bool
    any_day: bool
    any_weekday: bool

    def comes_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        is_day = day.day in self.days or (self.last_day and day.day == monthrange(day.year, day.month)[1])
        is_weekday = day.isoweekday() % 7 in self.weekdays
        # Cron's own rule: with both restricted, either one is enough.
        return (is_day or is_weekday) if not (self.any_day or self.any_weekday) else (is_day and is_weekday)


@lru_cache(maxsize=4096)
def cron_problem(expression: str) -> str | None:
    """Return why `expression` is no cron schedule, or None."""
    try:
        cron = _parse(expression)
    except _BadCron as error:
        return f"{expression!r} is no cron schedule: {error}"
    if cron.days and not cron.last_day and all(min(cron.days) > monthrange(_LEAP_YEAR, month)[1] for month in cron.months):
        return f"{expression!r} names a day of the month that its month does not have"
    return None


def schedule_ticks(expressions: Sequence[str], *, start: datetime, days: int) -> Iterator[datetime]:
    """Yield the instants of valid cron expressions together, in order and each once, from the day of `start` on, in its time zone.

    They are those at which Dagster's scheduler starts: what it makes of a time that is skipped, or there twice, follows from its code.
    """
    zone = start.tzinfo
    assert zone is not None, "days are those of a time zone"
    for offset in range(days):
        day = start.date() + offset * _DAY
        shown = datetime.combine(day, time(), zone)
        if _midnight(day - _DAY, zone).utcoffset() == _midnight(day + 2 * _DAY, zone).utcoffset():
            yield from shown_ticks(expressions, start=shown, days=1)
        elif any(shown_ticks(expressions, start=shown - _DAY, days=3)):
            yield from _ticks_of_dagster(expressions, day, zone)


def shown_ticks(expressions: Sequence[str], *, start: datetime, days: int) -> Iterator[datetime]:
    """Yield what `schedule_ticks` does, without Dagster, so that on a day when clocks change some are another hour's.

    A time that is skipped comes when the gap ends, one that is there twice at the second, and every hour's at both.
    """
    previous = None
    # Two times of one zone would compare as its clocks show them, and those go back once a year.
    for tick in heapq.merge(*(_ticks(_parse(expression), start, days) for expression in expressions), key=datetime.timestamp):
        if tick.timestamp() != previous:
            yield tick
        previous = tick.timestamp()


def first_ticks(expressions: Sequence[str], *, start: datetime, days: int, count: int) -> tuple[datetime, ...]:
    """Return the first `count` of `shown_ticks`, or as many as there are."""
    return tuple(islice(shown_ticks(expressions, start=start, days=days), count))


def _midnight(day: date, zone: tzinfo) -> datetime:
    """Return the instant at which the day begins there, as its clocks show it: some days begin at one."""
    return datetime.fromtimestamp(datetime.combine(day, time(), zone).timestamp(), zone)


def _ticks_of_dagster(expressions: Sequence[str], day: date, zone: tzinfo) -> Iterator[datetime]:
    from dagster import TimeWindowPartitionsDefinition

    first, end = _midnight(day, zone).timestamp(), _midnight(day + _DAY, zone)
    found: set[float] = set()
    for expression in expressions:
        # The public way to its ticks: the partitions that a schedule has. The last one began and has not ended, so one more is asked for.
        windows = TimeWindowPartitionsDefinition(
            start=_midnight(day - _DAY, zone), cron_schedule=expression, fmt=_KEY, timezone=str(zone), end_offset=1
        )
        # It counts back from there to find the last one, which it cannot on a day that a zone left out.
        keys = windows.get_partition_keys(current_time=_midnight(day + 4 * _DAY, zone))
        found.update(datetime.fromisoformat(key).timestamp() for key in keys)
    yield from (datetime.fromtimestamp(tick, zone) for tick in sorted(found) if first <= tick < end.timestamp())


def _ticks(cron: _Cron, start: datetime, days: int) -> Iterator[datetime]:
    for offset in range(days):
        day = start.date() + timedelta(days=offset)
        if cron.comes_on(day):
            midnight = datetime(day.year, day.month, day.day, tzinfo=start.tzinfo)
            shown = [midnight.replace(hour=hour, minute=minute) for hour in cron.hours for minute in cron.minutes]
            if midnight.utcoffset() == (midnight + timedelta(days=1)).utcoffset():
                yield from shown
            else:
                every_hour = len(cron.hours) == _HOURS_OF_A_DAY
                # By timestamp: the two times that one clock shows are equal to Python.
                ticks = {tick.timestamp(): tick for each in shown for tick in _instants(each, every_hour)}
                yield from (ticks[timestamp] for timestamp in sorted(ticks))


def _instants(shown: datetime, every_hour: bool) -> Iterator[datetime]:
    """Yield when a clock that is set forward or back shows this time."""
    first, second = shown.replace(fold=0), shown.replace(fold=1)
    if first.utcoffset() == second.utcoffset():
        yield first
    elif _exists(first):
        yield from (first, second) if every_hour else (second,)
    else:
        while not _exists(first):
            first += timedelta(minutes=1)
        yield first


def _exists(shown: datetime) -> bool:
    return shown.astimezone(UTC).astimezone(shown.tzinfo).replace(tzinfo=None) == shown.replace(tzinfo=None)


@lru_cache(maxsize=4096)
def _parse(expression: str) -> _Cron:
    texts = _SHORTHANDS.get(expression.strip().lower(), expression).split()
    if len(texts) != len(_FIELDS):
        raise _BadCron(f"it has {len(texts)} fields, not the 5 of minute, hour, day of the month, month, day of the week")
    last_day = _LAST_DAY in texts[2].lower().split(",")
    kept_days = ",".join(part for part in texts[2].split(",") if part.lower() != _LAST_DAY)
    texts[2] = kept_days or "*"
    minutes, hours, days, months, weekdays = (_values(text, field) for text, field in zip(texts, _FIELDS, strict=True))
    return _Cron(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days if kept_days else ()),
        months=frozenset(months),
        weekdays=frozenset(day % 7 for day in weekdays),
        last_day=last_day,
        any_day=kept_days == "*",
        any_weekday=texts[4] == "*",
    )


def _values(text: str, field: _Field) -> set[int]:
    return {value for part in text.split(",") for value in _part_values(part, field)}


def _part_values(part: str, field: _Field) -> range:
    span, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdigit() and 0 < int(step) <= field.last):
        raise _BadCron(f"the {field.name} has the step {step!r}, not a number from 1 to {field.last}")
    if span == "*":
        first, last = field.first, min(field.last, 6) if field.names is _WEEKDAYS else field.last
    else:
        low, dash, high = span.partition("-")
        first = _number(low, field)
        last = _number(high, field) if dash else (field.last if slash else first)
        if first > last:
            raise _BadCron(f"the {field.name} has the range {span!r}, which ends before it starts")
    return range(first, last + 1, int(step) if slash else 1)


def _number(text: str, field: _Field) -> int:
    number = field.names.get(text.lower())
    if number is None and text.isascii() and text.isdigit():
        number = int(text)
    if number is None or not field.first <= number <= field.last:
        raise _BadCron(f"the {field.name} is {text!r}, not a number from {field.first} to {field.last}")
    return number
