"""Whether this work may wait for a server that is away, and who is told that it does.

Runs and commands that deliver or import may; looks that others wait for (a sensor's tick, `status`, tidying) try for seconds only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str], None]

_told: ContextVar[tuple[Tell, ...] | None] = ContextVar("told_of_waiting", default=None)


@contextmanager
def allow_waiting(*tell: Tell) -> Iterator[None]:
    """Let connections wait as long as their `retry_for` says; each wait is told to `tell`, and to those who were told before.

    It holds for this thread, and for work that is given to others with a copy of its context.
    """
    mark = _told.set((*(_told.get() or ()), *tell))
    try:
        yield
    finally:
        _told.reset(mark)


@contextmanager
def forbid_waiting() -> Iterator[None]:
    """Let connections try for seconds only: what is done now is not worth waiting for, or others wait for it."""
    mark = _told.set(None)
    try:
        yield
    finally:
        _told.reset(mark)


def may_wait() -> bool:
    """Return whether connections may wait now."""
    return _told.get() is not None


def report_waiting(text: str) -> None:
    """Tell everybody who is to know of a wait."""
    for tell in _told.get() or ():
        tell(text)
