"""Spans of time as people write them (`15 minutes`), and `every: …` as a cron expression, whose steps fill an hour or a day evenly."""

from __future__ import annotations

import re

_FORM = re.compile(r"(0|[1-9][0-9]{0,4}) (minute|hour|day)s?")
_MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60}
_HOUR, _DAY = 60, 24 * 60


def duration_problem(text: str) -> str | None:
    """Return why `text` is no span of time, or None."""
    return None if _FORM.fullmatch(text) else f"{text!r} is no span of time; write one such as 15 minutes, 2 hours or 1 day"


def duration_minutes(text: str) -> int:
    """Return the minutes of a valid span of time."""
    found = _FORM.fullmatch(text)
    assert found is not None, "spans of time are checked first"
    return int(found[1]) * _MINUTES[found[2]]


_SPAN = re.compile(r"([1-9][0-9]{0,4}) (second|minute|hour|day)s?")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 24 * 3600}


def span_seconds(span: str | int) -> int:
    """Return the seconds of a span of time such as `90 seconds`, or of 0. ValueError for any other."""
    if span in (0, "0"):
        return 0
    found = _SPAN.fullmatch(str(span))
    if found is None:
        raise ValueError(f"{span!r} is no span of time; write one such as 30 seconds, 15 minutes or 2 hours, or 0")
    return int(found[1]) * _SECONDS[found[2]]


def every_problem(text: str) -> str | None:
    """Return why no cron expression comes at this interval, or None."""
    if (problem := duration_problem(text)) is not None:
        return problem
    minutes = duration_minutes(text)
    if minutes in _EVEN:
        return None
    shorter, longer = [each for each in _EVEN if each < minutes][-1:], [each for each in _EVEN if each > minutes][:1]
    near = " or ".join(map(_words, (*shorter, *longer)))
    return f"{text!r} does not fill an hour or a day evenly, so no clock shows when it comes; write {near}, or a schedule"


def every_cron(text: str) -> str:
    """Return the cron expression of a valid interval: `*/15 * * * *`."""
    return _EVEN[duration_minutes(text)]


def _cron(minutes: int) -> str:
    if minutes < _HOUR:
        return f"*/{minutes} * * * *"
    return f"0 */{minutes // _HOUR} * * *" if minutes < _DAY else "0 0 * * *"


_EVEN = {
    minutes: _cron(minutes) for minutes in range(1, _DAY + 1) if _HOUR % minutes == 0 or (minutes % _HOUR == 0 and _DAY % minutes == 0)
}
"""Every interval that a cron expression has, in minutes, shortest first."""


def _words(minutes: int) -> str:
    unit = next(unit for unit in ("day", "hour", "minute") if minutes % _MINUTES[unit] == 0)
    count = minutes // _MINUTES[unit]
    return f"{count} {unit}{'' if count == 1 else 's'}"
