"""Waiting for what threads, processes and programs do: as long as a slow, busy machine may need, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import TypeVar

import pytest

PATIENCE_S = 300.0
# At first often, later seldom: what takes long is not slowed down by whoever looks.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5
T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str, seconds: float = PATIENCE_S) -> T:
    """What `look` finds, as soon as it finds something; the test fails when that takes longer than `seconds`."""
    deadline, pause_s = time.monotonic() + seconds, _FIRST_PAUSE_S
    while (found := look()) is None:
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come within {seconds:.0f} s", pytrace=False)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return found


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as the condition holds."""
    wait_for(lambda: True if condition() else None, what)


def wait_for_end(process: BaseProcess) -> None:
    """Return when the process has ended; one that does not is killed, and the test fails."""
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        pytest.fail(f"process {process.name} did not end within {PATIENCE_S:.0f} s", pytrace=False)
