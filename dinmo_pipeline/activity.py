"""What this process is at, in words, for whoever waits for it or stops it."""

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
    except Exception:
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
    """Tell whoever listens, if anybody does."""
    for listener in _listeners:
        listener(text)


def current_step() -> str:
    """Return what this process is at inside of the outermost activity; empty where nobody said."""
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
