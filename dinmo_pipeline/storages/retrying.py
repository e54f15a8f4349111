"""A connection that is made when first needed and again after a fault that may pass: what failed so is tried once more, after a pause."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from dinmo_pipeline.errors import TransientStorageError
from dinmo_pipeline.storages.base import Storage, StorageSpec
from dinmo_pipeline.storages.waiting import may_wait, report_waiting

FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 60.0
_BRIEF_RETRIES, _BRIEF_S = 5, 15.0
"""What is tried of work that may not wait: some seconds."""
_TOLD_PAUSE_S = 2.0

S = TypeVar("S", bound=Storage)
T = TypeVar("T")


class Connection(Generic[S]):
    """One storage, opened by `connect` and asked again with growing pauses, for `retry_for_s` seconds after a fault. A context manager.

    0 seconds are for no second try. `retries` is how often at most, None for any number. Work that may not wait (`waiting`)
    gives up after some seconds. Used by one thread at a time, except for `give_up`.
    """

    def __init__(
        self, connect: Callable[[], S], *, retry_for_s: float, retries: int | None = None, first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self._connect = connect
        self._storage: S | None = None
        self._retry_for_s = retry_for_s
        self._retries = retries
        self._first_pause_s = first_pause_s
        self._given_up = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def do(self, action: Callable[[S], T]) -> T:
        """Return the result of `action`, which may be asked for again when its answer was lost.

        Raises the StorageError that it ends with.
        """
        attempts, began = 0, 0.0
        while True:
            try:
                return self._attempt(action)
            except TransientStorageError as error:
                attempts += 1
                began = began or time.monotonic()
                pause = self._pause(attempts, time.monotonic() - began)
                if pause is None and attempts > 1:
                    tried = f"tried {attempts} times in {_span(time.monotonic() - began)}"
                    raise TransientStorageError(f"{error} ({tried})") from error
                if pause is None:
                    raise
                if pause >= _TOLD_PAUSE_S:
                    left = _span(max(self._retry_for_s - (time.monotonic() - began), 0))
                    report_waiting(f"{error} (try {attempts:,}): waiting, next try in {_span(pause)}, for {left} at most")
                if self._given_up.wait(pause):
                    raise

    def give_up(self) -> None:
        """End what waits in another thread, at once or at its next pause; from now on nothing is tried twice."""
        self._given_up.set()

    def close(self) -> None:
        """Close the connection, if there is one."""
        storage, self._storage = self._storage, None
        if storage is not None:
            storage.__exit__(None, None, None)

    def _attempt(self, action: Callable[[S], T]) -> T:
        if self._storage is None:
            self._storage = self._connect().__enter__()
        try:
            return action(self._storage)
        except TransientStorageError:
            self.close()
            raise

    def _pause(self, attempts: int, passed_s: float) -> float | None:
        """Return how long to wait before the next try, or None when there is none."""
        most = _BRIEF_RETRIES if not may_wait() else attempts
        left = min(self._retry_for_s, _BRIEF_S if not may_wait() else self._retry_for_s) - passed_s
        if left <= 0 or attempts > most or (self._retries is not None and attempts > self._retries):
            return None
        # Of those who lost one server at one moment not all come back at one moment. The last try is at the end of the time.
        pause = min(self._first_pause_s * 2.0 ** min(attempts, 30), _LONGEST_PAUSE_S) * random.uniform(0.5, 1)
        return min(pause, left)


def connection_to(spec: StorageSpec, project_root: Path, *, first_pause_s: float = FIRST_PAUSE_S) -> Connection[Storage]:
    """Return a connection to the storage that the user defined, which says for how long a fault is tried again."""
    return Connection(lambda: spec.connect(project_root), retry_for_s=spec.retry_for_s, retries=spec.retries, first_pause_s=first_pause_s)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
