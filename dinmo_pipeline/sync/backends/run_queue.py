"""Whose turn it is: from keeping a sync's rows to their delivery one run has the activation, the next one waits, a third is sent away.

The lock that every step takes keeps the log whole; this keeps two runs from taking their rows in between each other's steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dinmo_pipeline.errors import BusyError
from dinmo_pipeline.sync.ledger.ledger import LedgerBackend

_TURN, _WAITING = "turn", "waiting"


@contextmanager
def turn(backend: LedgerBackend, activation: str, *, wait_s: float) -> Iterator[None]:
    """Have the activation for this process; a killed holder's turn ends at once.

    BusyError when another run waits already, and when the one that has it does not end within `wait_s` seconds.
    """
    with ExitStack() as held:
        try:
            held.enter_context(backend.locked(f"{activation}/{_TURN}", 0))
        except BusyError:
            with _only_waiting(backend, activation):
                held.enter_context(backend.locked(f"{activation}/{_TURN}", wait_s))
        yield


def is_taken(backend: LedgerBackend, activation: str) -> bool:
    """Return whether a run has the activation now."""
    try:
        with backend.locked(f"{activation}/{_TURN}", 0):
            return False
    except BusyError:
        return True


@contextmanager
def _only_waiting(backend: LedgerBackend, activation: str) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(backend.locked(f"{activation}/{_WAITING}", 0))
        except BusyError as error:
            raise BusyError(
                f"starting a sync of {activation}: one is running and another one waits, which will send what this one would have; "
                "nothing was begun"
            ) from error
        yield
