"""The current work of this process as text: shown to a user who waits for it, and printed when the process is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class _Activity:
    what: str
    stopped: str | None


_current: list[_Activity] = []
_listeners: list[Callable[[str], None]] = []


@contextmanager
def doing(what: str, *, stopped: str | None = None) -> Iterator[None]:
    """Say what is done meanwhile, and what is true when it is `stopped` in its middle.

    An interrupt leaves it said: it is what was interrupted, and the process ends.
    """
    activity = _Activity(what, stopped)
    _current.append(activity)
    try:
        yield
    except Exception:  # not an interrupt: the text about a stop is made of the activities that it found
        _current.remove(activity)
        raise
    _current.remove(activity)


@contextmanager
def telling(listener: Callable[[str], None]) -> Iterator[None]:
    """Let `listener` know, in words, what this process waits for."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(text: str) -> None:
    """Pass `text` to each registered listener."""
    for listener in _listeners:
        listener(text)


def current_step() -> str:
    """Return the innermost activity; an empty text where there is only the outermost one, or none."""
    return _current[-1].what if len(_current) > 1 else ""


def told_when_stopped(how: str) -> str:
    """One sentence on an interrupt now: `how` it came, of what, and what is true after it."""
    current = tuple(_current)
    subject = f"{current[0].what}: " if current else ""
    inside = f" while {current[-1].what}" if len(current) > 1 else ""
    after = next((activity.stopped for activity in reversed(current) if activity.stopped is not None), "nothing was begun")
    return f"{subject}stopped by {how}{inside}; {after}"


def forget_activities() -> None:
    """Begin anew, as a new process does."""
    _current.clear()
