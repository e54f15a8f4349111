"""Kinds of faults: what can happen at which points, and how it is done. As SQLite's tests have it, some pass and some last.

What happens to the process itself it does by itself; what happens around it, the campaign does while the process waits for it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import duckdb

from dinmo_pipeline_tests.faults.points import Nature, Point, Site

KILLED, KILLED_AMID = "kill -9", "kill -9 amid a call"
EXCEPTION, ERROR = "exception", "input/output error"
DISK_FULL, READ_ONLY, CLOCK = "disk full", "read-only folder", "clock jump"
LOST, AWAY, SERVER_KILLED, SLOW = "connection lost", "server away", "server killed", "slow link"

EVERYWHERE = (KILLED, KILLED_AMID, EXCEPTION, CLOCK)
_POSSIBLE: Mapping[Nature, tuple[str, ...]] = {
    "file": (*EVERYWHERE, ERROR, DISK_FULL, READ_ONLY),
    "query": (*EVERYWHERE, ERROR, DISK_FULL, READ_ONLY),
    "remote": (*EVERYWHERE, DISK_FULL, READ_ONLY, LOST, AWAY, SERVER_KILLED, SLOW),
}
AROUND = (DISK_FULL, READ_ONLY, LOST, AWAY, SERVER_KILLED, SLOW)
"""What happens around the process, and lasts until its end where it lasts."""

# These neither read nor write. rmtree tells of itself before it does anything, outside of what its `ignore_errors` ignores.
_IDLE = ("duckdb SET", "duckdb DETACH", "duckdb begin", "duckdb register", "shutil.rmtree")
# What moments there are within a call: hardly begun, under way, nearly done.
_LONGEST_CALL_S = 0.02


def possible_at(site: Site) -> tuple[str, ...]:
    """What can happen there."""
    return tuple(kind for kind in _POSSIBLE[site.nature] if kind != ERROR or site.call not in _IDLE)


class Injected(MemoryError):
    """An error that nobody expects."""


@dataclass(frozen=True)
class Fault:
    """What happens when `site` is come to for the `occurrence`th time; `seed` decides the rest."""

    kind: str
    site: Site
    occurrence: int
    seed: int

    def __str__(self) -> str:
        return f"{self.kind} at call {self.occurrence} of {self.site}"


def happen_inside(fault: Fault, point: Point) -> None:
    """Let it happen to this process."""
    chance = random.Random(fault.seed)
    match fault.kind:
        case "kill -9":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill -9 amid a call":
            # Nobody handles this signal, so the kernel ends the process wherever it is.
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00001, _LONGEST_CALL_S))
        case "exception":
            raise Injected(f"injected at {fault.site}")
        case "input/output error":
            if point.site.nature == "query":
                raise duckdb.IOException(f"injected at {fault.site}")
            raise OSError(errno.EIO, os.strerror(errno.EIO), point.path)
        case "clock jump":
            _jump(timedelta(hours=chance.choice([-8760, -24, -1, 1, 24, 8760])))
        case kind:
            raise AssertionError(f"{kind} does not happen to a process")


def obey_rights() -> None:
    """Root may write everywhere; from now on this process may not."""
    # _LINUX_CAPABILITY_VERSION_3, and two words for each of effective, permitted and inheritable: without DAC_OVERRIDE, DAC_READ_SEARCH.
    header, words = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, words) == 0, os.strerror(ctypes.get_errno())
    words[0] &= ~0b110
    assert libc.capset(header, words) == 0, os.strerror(ctypes.get_errno())


def _jump(by: timedelta) -> None:
    class Jumped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + by

    now: Callable[[], float] = time.time
    time.time = lambda: now() + by.total_seconds()
    for name, module in list(sys.modules.items()):
        if name.startswith("dinmo_pipeline.") and getattr(module, "datetime", None) is datetime:
            place: Any = module
            place.datetime = Jumped


class Ballast:
    """A file that takes all the room that a disk has left."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".ballast"

    def take(self) -> None:
        """The disk is full."""
        descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            status = os.statvfs(self._path.parent)
            for blocks in range(status.f_bavail, 0, -max(status.f_bavail // 100, 1)):
                # The file system needs some of the free room for itself, and others may take some meanwhile.
                with suppress(OSError):
                    os.posix_fallocate(descriptor, 0, blocks * status.f_frsize)
                    break
        finally:
            os.close(descriptor)

    def drop(self) -> None:
        """There is room again."""
        self._path.unlink(missing_ok=True)
