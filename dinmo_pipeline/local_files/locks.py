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

from dinmo_pipeline.errors import BusyError

_PAUSE_S = 0.05
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
        """This process, from now on."""
        return cls(os.getpid(), socket.gethostname(), command_name(), datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.command}) has had it since {self.since}"


def command_name() -> str:
    """What this process was started as: `dinmo sync`, without the rest of its arguments."""
    name = Path(sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c", "-m") else sys.executable).name or "python"
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    return f"{name} {first}" if _WORD.fullmatch(first) else name


def is_gone(pid: int, host: str) -> bool:
    """Whether a process has surely ended: it ran on this host, and no process there has its number."""
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
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise BusyError(_busy(what, _holder(descriptor), wait_s)) from None
                time.sleep(min(_PAUSE_S, left))
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


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
    """Who signed the file last, unless that was a process that has ended since: then another one, unknown, has the lock."""
    with suppress(ValueError, TypeError):
        holder = Holder(**json.loads(os.pread(descriptor, _MOST_BYTES, 0)))
        return None if is_gone(holder.pid, holder.host) else holder
    return None


def _busy(what: str, holder: Holder | None, wait_s: float) -> str:
    who = str(holder) if holder is not None else "another process has it"
    return f"waiting for {what}: {who}, and did not let go within {wait_s:,.0f} s; nothing was begun, start this again later"
