"""Alerts, and the change from those that somebody was told of to those that are open now. Pure; nothing here holds a customer's data."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dinmo_pipeline.notify.base import NoticeKind, NoticeState

FINE = "fine"
_WORST_FIRST: tuple[NoticeState, ...] = ("failed", "blocked", "late", "warning")
_MOST_LISTED, _MOST_CHARACTERS, _MOST_ADVICE = 20, 500, 3


@dataclass(frozen=True)
class Subject:
    """What an alert is about. `timezone` is that of instants in messages."""

    kind: NoticeKind
    name: str
    timezone: str


@dataclass(frozen=True)
class Alert:
    """Something that is open. `key` is the same at each look; `mark` says in a word or two what it is, also when it is over.

    The alerts of one `group` recover together. `of` are other names that a Notify's `only` may have for it: the feed of a file.
    """

    key: str
    state: NoticeState
    mark: str
    what: str
    advice: str = ""
    since: datetime | None = None
    run: str | None = None
    group: str = ""
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """An alert that was sent: the group that it recovers with, and its mark."""

    group: str
    mark: str


@dataclass(frozen=True)
class LastAlert:
    """What somebody was told last: all that was open then in words, since when, and each alert by its key.

    Older versions wrote no `opened`; the mark of an activation was the key of its one alert.
    """

    mark: str
    since: datetime
    opened: Mapping[str, Opened] | None = None

    @property
    def alerts(self) -> Mapping[str, Opened]:
        """What was open when it was told."""
        if self.opened is not None:
            return self.opened
        return {} if self.mark == FINE else {self.mark: Opened("", self.mark)}


@dataclass(frozen=True)
class Change:
    """A message to send; `told` is the state to record once it has been sent."""

    state: NoticeState
    marks: str
    what: str
    advice: str
    since: datetime
    run: str | None
    told: LastAlert


@dataclass(frozen=True)
class _Difference:
    before: LastAlert
    kept: Mapping[str, Opened]
    alerts: Sequence[Alert]
    new: Sequence[Alert] = field(default=())

    @property
    def now(self) -> Mapping[str, Opened]:
        return {**self.kept, **{alert.key: Opened(alert.group, alert.mark) for alert in self.alerts}}

    @property
    def over(self) -> Sequence[str]:
        """The marks of groups that nothing is open of any more."""
        groups = {opened.group for opened in self.now.values()}
        return [opened.mark for opened in self.before.alerts.values() if opened.group not in groups]


def change_of(
    before: LastAlert | None, alerts: Iterable[Alert], *, now: datetime, groups: Collection[str] | None = None
) -> Change | LastAlert | None:
    """Compare `alerts` with those that were sent last.

    Returns a Change to send; a LastAlert where nothing is to be sent and the record changes (one of several alerts of a group is over);
    None where nothing changed.
    With `groups` only those were looked at, and the others count as unchanged.
    """
    before = before or LastAlert(FINE, now, {})
    kept = {key: opened for key, opened in before.alerts.items() if groups is not None and opened.group not in groups}
    listed = tuple({alert.key: alert for alert in alerts if groups is None or alert.group in groups}.values())
    difference = _Difference(before, kept, listed, tuple(alert for alert in listed if alert.key not in before.alerts))
    opened = difference.now
    if difference.new:
        return _opened(difference, now)
    if difference.over:
        return _recovered(difference, now)
    return None if opened.keys() == before.alerts.keys() else LastAlert(_words(opened), before.since, opened)


def _opened(difference: _Difference, now: datetime) -> Change:
    new = difference.new
    state = next(state for state in _WORST_FIRST if any(alert.state == state for alert in new))
    since = min((alert.since for alert in new if alert.since is not None), default=now)
    advice = list(dict.fromkeys(alert.advice for alert in new if alert.advice))
    lines = _bounded([alert.what for alert in new])
    earlier = {key: opened for key, opened in difference.now.items() if key not in {alert.key for alert in new}}
    if earlier:
        lines += f"\nOpen since earlier: {_words(earlier)}."
    if difference.over:
        lines += f"\nNo longer so: {_counted(difference.over)}."
    told = LastAlert(_words(difference.now), since, difference.now)
    marks = _counted([alert.mark for alert in new])
    return Change(state, marks, lines, "\n".join(advice[:_MOST_ADVICE]), since, next((a.run for a in new if a.run), None), told)


def _recovered(difference: _Difference, now: datetime) -> Change:
    opened = difference.now
    told = LastAlert(_words(opened), now, opened)
    rest = f"\nStill open: {_words(opened)}." if opened else ""
    return Change("recovered", _counted(difference.over), rest, "", now, None, told)


def _words(opened: Mapping[str, Opened]) -> str:
    return _counted([each.mark for each in opened.values()]) if opened else FINE


def _counted(marks: Iterable[str]) -> str:
    counts = Counter(marks)
    listed = [mark if count == 1 else f"{mark} ({count:,})" for mark, count in counts.items()]
    return ", ".join(listed[:_MOST_LISTED]) + (f" and {len(listed) - _MOST_LISTED:,} more" if len(listed) > _MOST_LISTED else "")


def _bounded(lines: Sequence[str]) -> str:
    shown = [line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…" for line in lines] if len(lines) > 1 else list(lines)
    more = len(shown) - _MOST_LISTED
    return "\n".join([*shown[:_MOST_LISTED], *([f"… and {more:,} more"] if more > 0 else [])])


def key_of(text: str) -> str:
    """Return a short key for an alert whose own name may be long, or hold what a file of ours need not repeat."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
