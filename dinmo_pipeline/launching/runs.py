"""What a fork of the warm process is for: to execute one run, or to tell Dagster that the process of one died."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus, deserialize_value

from dinmo_pipeline.operations.run_locks import holding

# A look opens Dagster's storage first, which costs as much as a small run: it comes when most runs are over.
_LOOK_S = 3.0
_TO_BE_ENDED = (DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE)


def execute(request: str, dagster: Callable[[], None]) -> None:
    """Execute the run that is asked for, unless it has another process. Ends with SystemExit."""
    asked = json.loads(request)
    with holding(Path(asked["home"]), json.loads(asked["argument"])["pipeline_run_id"]) as is_ours:
        if is_ours:
            _execute(asked["argument"], dagster)


def _execute(argument: str, dagster: Callable[[], None]) -> None:
    """Execute the run as a container of Dagster's does, by its command. Ends with SystemExit."""
    over = Event()
    watching = Thread(target=_end_when_asked, args=(argument, over), name="asked-to-end", daemon=True)
    watching.start()
    sys.argv = ["dagster", "api", "execute_run", argument]
    try:
        dagster()
    finally:
        over.set()
        watching.join()


def report_dead_run(request: str, pid: int, code: int) -> None:
    """Fail the run, unless it had ended before its process did. `code` is the exit code, or minus the signal."""
    end = f"ended with code {code}" if code >= 0 else f"was ended by signal {-code} ({signal.strsignal(-code)})"
    hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
    run_id, instance = _run_of(json.loads(request)["argument"])
    with instance:
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, f"The process of this run (pid {pid}) {end}{hint}, before the run did.")


def _end_when_asked(argument: str, over: Event) -> None:
    """Interrupt this process when somebody has asked for the end of its run, wherever that was."""
    if over.wait(_LOOK_S):
        return
    run_id, instance = _run_of(argument)
    with instance:
        while not over.is_set():
            run = instance.get_run_by_id(run_id)
            if run is not None and run.status in _TO_BE_ENDED:
                os.kill(os.getpid(), signal.SIGINT)
                return
            over.wait(_LOOK_S)


def _run_of(argument: str) -> tuple[str, DagsterInstance]:
    """Return the run that is meant, and the storage that it is kept in."""
    asked = json.loads(argument)
    # Dagster has no public name for the type of what it reads here.
    instance: Any = deserialize_value(json.dumps(asked["instance_ref"]))
    return asked["pipeline_run_id"], DagsterInstance.from_ref(instance)
