"""Calls of libraries that may never return: each has a thread of its own, and is given up when it shows no sign of life for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class GivenUp(Exception):
    """Nobody waits for this call any more: what it still does must end."""


class Pulse:
    """The signs of life of one call."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self._is_over = False

    def beat(self) -> None:
        """Show that the call goes on; GivenUp where nobody waits for it any more."""
        if self._is_over:
            raise GivenUp
        self.last = time.monotonic()

    def end(self) -> None:
        """Let the next beat raise GivenUp."""
        self._is_over = True


def call_in_time(work: Callable[[Pulse], T], *, idle_seconds: float) -> T:
    """Return the result of `work`, or its exception; TimeoutError after so many seconds without a beat.

    A call that is given up keeps its thread, which holds up no exit, until its library returns.
    """
    pulse, future = Pulse(), Future[T]()

    def run() -> None:
        try:
            future.set_result(work(pulse))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            future.set_exception(error)

    threading.Thread(target=run, name="dinmo-filesystem", daemon=True).start()
    try:
        while True:
            left = pulse.last + idle_seconds - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if wait([future], timeout=left).done:
                return future.result()
    finally:
        pulse.end()
