"""Locks between processes of one machine: each has a deadline, says who holds it, and is free once its holder ends, however it does."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dinmo_pipeline.activity import doing, tell
from dinmo_pipeline.errors import BusyError

_PAUSE_S = 0.05
TOLD_WAIT_S = 2.0
"""Whoever waits for longer is told for whom."""
_MOST_BYTES = 1_000
# Arguments beyond the name of a command may hold a customer's key or an address with a password.
_WORD = re.compile(r"[A-Za-z_][A-Za-z_-]{0,30}")


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, what it was started as, and since when it has it (ISO 8601, UTC)."""

    pid: int
    host: str
    command: str
    since: str

    @classmethod
    def this_process(cls) -> Holder:
        """Return this process as the holder, from now on."""
        return cls(os.getpid(), socket.gethostname(), command_name(), datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.command}) has had it since {self.since}"


def command_name() -> str:
    """Return what this process was started as: `dinmo sync`, without the rest of its arguments."""
    name = Path(sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c", "-m") else sys.executable).name or "python"
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    return f"{name} {first}" if _WORD.fullmatch(first) else name


def is_gone(pid: int, host: str) -> bool:
    """Return whether a process has surely ended: it ran on this host, and no process there has its number."""
    if host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def locked(path: Path, *, what: str, wait_s: float, shared: bool = False) -> Iterator[None]:
    """Hold the lock file, which is made; alone, or with others who share it. OSError where it cannot be made.

    BusyError when `what` is not free within `wait_s` seconds; it says who has it. The file keeps the text of its last holder.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if not _take(descriptor, kind):
            with doing(f"waiting for {what}"):
                _wait(descriptor, kind, what, wait_s)
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(descriptor: int, kind: int, what: str, wait_s: float) -> None:
    """Take the lock as soon as it is free, and tell who has it when that takes long. BusyError after `wait_s` seconds."""
    began, told = time.monotonic(), False
    while (passed := time.monotonic() - began) < wait_s:
        if passed >= TOLD_WAIT_S and not told:
            tell(f"waiting for {what}: {_who(descriptor)}")
            told = True
        time.sleep(min(_PAUSE_S, wait_s - passed))
        if _take(descriptor, kind):
            return
    raise BusyError(
        f"waiting for {what}: {_who(descriptor)}, and did not let go within {wait_s:,.0f} s; nothing was begun, start this again later"
    )


def _sign(descriptor: int) -> None:
    # Without room for a line the lock is held all the same: its text is for people alone.
    with _full_disk_ignored():
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(Holder.this_process())).encode() + b"\n", 0)


@contextmanager
def _full_disk_ignored() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _holder(descriptor: int) -> Holder | None:
    """Return who signed the file last, unless that was a process that has ended since: then another one, unknown, has the lock."""
    with suppress(ValueError, TypeError):
        holder = Holder(**json.loads(os.pread(descriptor, _MOST_BYTES, 0)))
        return None if is_gone(holder.pid, holder.host) else holder
    return None


def _who(descriptor: int) -> str:
    holder = _holder(descriptor)
    return str(holder) if holder is not None else "another process has it"
