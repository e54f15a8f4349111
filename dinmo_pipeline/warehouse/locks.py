"""Locks between processes of one machine; a process that ends, however it does, lets go."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dinmo_pipeline.errors import BusyError

_PAUSE_S = 0.05


@contextmanager
def locked(path: Path, *, what: str, wait_s: float, shared: bool = False) -> Iterator[None]:
    """Hold the lock file, which is made; alone, or with others who share it. BusyError when `what` is not free within `wait_s`."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BusyError(
                        f"waiting for {what}: other processes have had it for {wait_s:,.0f} s; nothing was begun, start this again later"
                    ) from None
                time.sleep(_PAUSE_S)
        yield
    finally:
        os.close(descriptor)
