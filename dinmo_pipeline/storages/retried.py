"""A storage that is connected to when first needed, and anew after a fault that may pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import tenacity

from dinmo_pipeline.errors import TransientStorageError
from dinmo_pipeline.storages.contract import Storage

FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 30.0

S = TypeVar("S", bound=Storage)
S_co = TypeVar("S_co", bound=Storage, covariant=True)
T = TypeVar("T")


class _Connects(Protocol[S_co]):
    @property
    def retries(self) -> int: ...

    def connect(self, project_root: Path) -> S_co: ...


class Retried(Generic[S]):
    """One storage for as long as somebody works with it; used by one thread at a time. A context manager.

    A transient fault closes the connection, and after a pause the same is done again, as often as the storage's `retries` say.
    """

    def __init__(self, spec: _Connects[S], project_root: Path, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._spec = spec
        self._project_root = project_root
        self._storage: S | None = None
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientStorageError),
            wait=tenacity.wait_random_exponential(multiplier=first_pause_s, max=_LONGEST_PAUSE_S),
            stop=tenacity.stop_after_attempt(spec.retries + 1),
            reraise=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._disconnect()

    def do(self, action: Callable[[S], T]) -> T:
        """What `action` gives; it may be called several times, and must take that an earlier call was done but not answered."""
        result: T = self._retrying(self._attempt, action)
        return result

    def _attempt(self, action: Callable[[S], T]) -> T:
        if self._storage is None:
            self._storage = self._spec.connect(self._project_root).__enter__()
        try:
            return action(self._storage)
        except TransientStorageError:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        storage, self._storage = self._storage, None
        if storage is not None:
            storage.__exit__(None, None, None)


class RetriedStorage(Retried[Storage]):
    """A storage of any kind."""
