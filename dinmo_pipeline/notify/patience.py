"""How long a message's server may take to answer, and how much it may say: whatever it does, a sync must end."""

from __future__ import annotations

import time
from typing import Any

from dinmo_pipeline.counted_sockets import CountedSocket

_MOST_BYTES = 64 * 1024


class _Patience:
    """Raises OSErrors, which the libraries take for a broken connection."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._bytes = 0

    @property
    def seconds_left(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("it did not come to the end of its answer in time")
        return left

    def add(self, block: memoryview) -> None:
        self._bytes += len(block)
        if self._bytes > _MOST_BYTES:
            raise ConnectionError(f"it said more than {_MOST_BYTES:,} bytes")


def patient(connection: Any, seconds: float) -> CountedSocket:
    """Return the connection, all of whose answers come within so many seconds from now, and are short."""
    patience = _Patience(seconds)
    return CountedSocket(connection, lambda: patience)
