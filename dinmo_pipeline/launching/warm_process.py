"""The launcher's side of the warm process: asks it for forks, and waits for no answer longer than it may."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock

READY = "ready"
# Importing takes two seconds of a CPU, which others may use, too; an answer takes a thousandth of one.
_START_S = 60.0
_ANSWER_S = 8.0
_END_S = 10.0
_PAUSE_S = 0.1


class NoAnswer(Exception):
    """The process gave no answer in time, or ended before it did; whether it forked is unknown."""


class WarmProcess:
    """`warm.py` as a child of this process: it reads one line for each run, answers one, and ends after the last run once we have gone."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ready = False
        self._killed = False
        self._ready_by = time.monotonic() + _START_S
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen([sys.executable, "-m", "dinmo_pipeline.launching.warm"], stdin=theirs.fileno())

    @property
    def has_ended(self) -> bool:
        """Whether it forks no more."""
        return self._killed or self._process.poll() is not None

    def fork(self, request: str) -> str | None:
        """Have it fork for the request: None when it did, else why it could not. NoAnswer when it did not say in time."""
        # Others are served before us, each within the same time; while it starts, they wait for the same.
        patience = max(_ANSWER_S, self._ready_by - time.monotonic()) + _ANSWER_S
        if not self._lock.acquire(timeout=patience):
            raise NoAnswer(f"others have waited for it for {patience:.0f} s")
        try:
            if not self._ready:
                self._expect_ready()
            self._ours.settimeout(_ANSWER_S)
            self._ours.sendall(request.encode() + b"\n")
            answer = self._line()
        except TimeoutError as error:
            raise NoAnswer(f"it was silent for {_ANSWER_S if self._ready else _START_S:.0f} s") from error
        except OSError as error:
            raise NoAnswer(str(error)) from error
        finally:
            self._lock.release()
        return None if answer == "started" else answer

    def kill(self) -> None:
        """End it at once; what it forked goes on."""
        self._killed = True
        self._process.kill()
        # A process that waits for a disk cannot be killed before that answers.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        # Wakes a thread that waits for its answer.
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._ours.close()

    def end(self) -> None:
        """Wait for the end of the runs that it forked, and its own; one that has none and does not end is killed."""
        self._ours.close()
        # One that somebody stopped would never see that we have gone.
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
        idle_since = time.monotonic()
        while self._process.poll() is None:
            if self._has_children():
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > _END_S:
                self._process.kill()
                self._process.wait()
            time.sleep(_PAUSE_S)

    def _expect_ready(self) -> None:
        self._ours.settimeout(max(0.1, self._ready_by - time.monotonic()))
        line = self._line()
        if line != READY:
            raise NoAnswer(f"it began with {line!r}")
        self._ready = True

    def _line(self) -> str:
        """Return its next line.

        It writes one for each that it reads, so nothing comes after it. TimeoutError, or NoAnswer when it ended.
        """
        read = b""
        while not read.endswith(b"\n"):
            more = self._ours.recv(4096)
            if not more:
                raise NoAnswer("it ended before it answered, and its last words are in the output of Dagster's daemon")
            read += more
        return read.decode().rstrip("\n")

    def _has_children(self) -> bool:
        try:
            return bool(Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(encoding="ascii").strip())
        except OSError:
            # It has just ended, or nobody can tell: then it is waited for as if it had some.
            return True
