"""A connection that is made when first needed and again after a fault that may pass: what failed so is tried once more, after a pause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import tenacity

from dinmo_pipeline.errors import TransientStorageError
from dinmo_pipeline.storages.contract import Storage, StorageSpec

FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0

S = TypeVar("S", bound=Storage)
T = TypeVar("T")


class Connection(Generic[S]):
    """One storage, opened by `connect` and asked again up to `retries` times, with growing pauses. A context manager."""

    def __init__(self, connect: Callable[[], S], *, retries: int, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._connect = connect
        self._storage: S | None = None
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientStorageError),
            wait=tenacity.wait_random_exponential(multiplier=first_pause_s, max=_LONGEST_PAUSE_S),
            stop=tenacity.stop_after_attempt(retries + 1),
            reraise=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def do(self, action: Callable[[S], T]) -> T:
        """The result of `action`, which may be asked for again when its answer was lost; raises the StorageError that it ends with."""
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


def connection_to(spec: StorageSpec, project_root: Path, *, first_pause_s: float = FIRST_PAUSE_S) -> Connection[Storage]:
    """A connection to the storage that the user defined, which says how often a fault is tried again."""
    return Connection(lambda: spec.connect(project_root), retries=spec.retries, first_pause_s=first_pause_s)
