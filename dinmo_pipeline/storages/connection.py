"""A connection that is made when first needed and again after a fault that may pass: what failed so is tried once more, after a pause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import tenacity

from dinmo_pipeline.errors import TransientStorageError
from dinmo_pipeline.storages.contract import Storage

FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0

S = TypeVar("S", bound=Storage)
T = TypeVar("T")


class Connection(Generic[S]):
    """One storage, opened by `connect` and asked again up to `retries` times, with growing pauses."""

    def __init__(self, connect: Callable[[], S], *, retries: int, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._connect = connect
        self._storage: S | None = None
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientStorageError),
            wait=tenacity.wait_random_exponential(multiplier=first_pause_s, max=_LONGEST_PAUSE_S),
            stop=tenacity.stop_after_attempt(retries + 1),
            reraise=True,
        )

    def do(self, action: Callable[[S], T]) -> T:
        """The result of `action`; raises the StorageError that it ends with."""
        result: T = self._retrying(self._attempt, action)
        return result

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
