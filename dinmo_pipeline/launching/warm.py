"""The process that runs are forked from. It has imported what they need, and holds no thread, no connection and no definition.

`python -m dinmo_pipeline.launching.warm`, whose standard input is a socket: it says `ready` first; each line that comes asks for one
run, each is answered by `started` or by what went wrong. It ends when the other end is closed and the last run is over; signals are
for the runs alone.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from dagster import DagsterInstance

from dinmo_pipeline.launching.runs import execute, report_dead_run
from dinmo_pipeline.launching.warm_process import READY

_Work = Callable[[], None]
_SOCKET = 0
_LOOK_S = 0.5


def main() -> None:
    """Serve until there is no more to do; in each fork, do what it was made for."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    dagster = _warm_up()
    _answer(READY)
    work = _serve(sys.stdin.buffer, dagster)
    if work is not None:
        work()


def _warm_up() -> _Work:
    """Import what runs need; the command `dagster`."""
    import dinmo_pipeline.definitions  # noqa: F401

    # Dagster imports a storage when one is opened: this one is nobody's.
    with TemporaryDirectory() as folder:
        (Path(folder) / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        with DagsterInstance.from_config(folder) as instance:
            instance.get_run_records(limit=1)
    (command,) = entry_points(group="console_scripts", name="dagster")
    dagster: _Work = command.load()
    gc.collect()
    # Forks then share it with us until they end.
    gc.freeze()
    return dagster


def _serve(requests: BinaryIO, dagster: _Work) -> _Work | None:
    """Fork for each request, and for each run whose process failed. Returns in each fork, with its work; here, None at the end."""
    # The argument of the run that a fork executes; none for one that tells of such a fork's death.
    forks: dict[int, str | None] = {}
    untold: list[_Work] = []
    listening = True
    while listening or forks or untold:
        ready, _, _ = select.select([requests] if listening else [], [], [], _LOOK_S if forks or untold else None)
        if ready:
            argument = _next(requests)
            listening = argument is not None
        if ready and argument is not None:
            try:
                pid = _fork()
            except OSError as error:
                _answer(str(error))
            else:
                if pid == 0:
                    return partial(execute, argument, dagster)
                forks[pid] = argument
                _answer("started")
        for pid, status in _ended(forks):
            executed = forks.pop(pid)
            if executed is not None and status != 0:
                untold.append(partial(report_dead_run, executed, pid, os.waitstatus_to_exitcode(status)))
        while untold:
            try:
                pid = _fork()
            except OSError:
                # What killed the run may leave no room yet; the next look tries again.
                break
            telling = untold.pop(0)
            if pid == 0:
                return telling
            forks[pid] = None
    return None


def _next(requests: BinaryIO) -> str | None:
    """Return the argument of the next run; None when there will be none: its sender has gone, in the middle of a line perhaps."""
    try:
        line = requests.readline()
    except ConnectionError:
        return None
    return line.decode() if line.endswith(b"\n") else None


def _answer(text: str) -> None:
    # Where the sender has gone, the next look for a request says so.
    with suppress(ConnectionError):
        os.write(_SOCKET, f"{text}\n".encode())


def _ended(forks: Iterable[int]) -> list[tuple[int, int]]:
    """Return those that have ended, with their status; they are no zombies any more."""
    scan_state = (os.waitpid(pid, os.WNOHANG) for pid in list(forks))
    return [(pid, status) for pid, status in scan_state if pid != 0]


def _fork() -> int:
    """Fork as `os.fork` does; the fork has neither our socket nor our deafness to signals."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, _SOCKET)
        os.close(null)
    return pid


if __name__ == "__main__":
    main()
