"""The run launcher that `dagster.yaml` names. It lives in Dagster's daemon, and in the web server, which asks for runs to end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from threading import Lock
from typing import Any

from dagster import DagsterRun, DefaultRunLauncher, serialize_value

from dinmo_pipeline.errors import DinmoError

# What of a code location tells that Dagster started its server here, from these; a server of somebody else tells only where it listens.
_LOADED_FROM = {"python_file", "module_name", "package_name", "autoload_defs_module_name"}
# What Dagster's own launcher leaves at the runs that it has launched.
_BY_DAGSTER = ".dagster/grpc_info"


class ForkingRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, except that runs of this Python are forked from one warm process instead of importing everything again."""

    def __init__(self, inst_data: Any = None) -> None:
        super().__init__(inst_data)
        self._lock = Lock()
        self._warm: _WarmProcess | None = None

    def launch_run(self, context: Any) -> None:
        """Have the run forked, or launched Dagster's way where its code is loaded elsewhere. LaunchError where it did not begin."""
        run: DagsterRun = context.dagster_run
        if not _can_be_forked(run):
            super().launch_run(context)
            return
        # What a container that executes a run is given by the launcher that starts it: the argument of `dagster api execute_run`.
        argument = {
            "__class__": "ExecuteRunArgs",
            "instance_ref": json.loads(serialize_value(self._instance.get_ref())),
            "pipeline_origin": json.loads(serialize_value(run.job_code_origin)),
            "pipeline_run_id": run.run_id,
            "set_exit_code_on_failure": True,
        }
        with self._lock:
            if self._warm is None or self._warm.has_ended:
                self._warm = _WarmProcess()
            self._warm.fork(json.dumps(argument))

    def terminate(self, run_id: str) -> bool:
        """Ask the run to end; its process looks for that, so it may run in another container. Whether there was anything to end."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if _BY_DAGSTER in run.tags:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        return True

    def dispose(self) -> None:
        """Start no more runs, and wait for the end of those that are under way."""
        with self._lock:
            if self._warm is not None:
                self._warm.end()
        super().dispose()


class LaunchError(DinmoError):
    """A run could not be begun; nothing of it was executed."""


class _WarmProcess:
    """`warm.py` as a child of this process: it reads one line for each run, answers one, and ends after the last run once we have gone."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._answers = self._ours.makefile("r", encoding="utf-8")
        with theirs:
            self._process = subprocess.Popen([sys.executable, "-m", "dinmo_pipeline.launching.warm"], stdin=theirs.fileno())

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def fork(self, argument: str) -> None:
        try:
            self._ours.sendall(argument.encode() + b"\n")
            answer = self._answers.readline().rstrip("\n")
        except ConnectionError as error:
            answer = str(error)
        if answer != "started":
            found = answer or "it ended before it answered, and its last words are in the output of Dagster's daemon"
            raise LaunchError(f"starting the run: the process that runs are forked from could not: {found}; launch the run again")

    def end(self) -> None:
        self._answers.close()
        self._ours.close()
        self._process.wait()


def _can_be_forked(run: DagsterRun) -> bool:
    """Whether its code is what this Python would load, on a system whose libraries bear a fork: those of macOS do not."""
    remote, code = run.remote_job_origin, run.job_code_origin
    return (
        sys.platform == "linux"
        and remote is not None
        and code is not None
        and code.repository_origin.executable_path == sys.executable
        and not _LOADED_FROM.isdisjoint(remote.repository_origin.code_location_origin.get_display_metadata())
    )
