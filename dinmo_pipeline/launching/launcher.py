"""The run launcher that `dagster.yaml` names. It lives in Dagster's daemon, and in the web server, which asks for runs to end."""

from __future__ import annotations

import json
import logging
import sys
from threading import Lock
from typing import Any

from dagster import DagsterRun, DefaultRunLauncher, serialize_value

from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.launching.warm_process import NoAnswer, WarmProcess
from dinmo_pipeline.operations.run_locks import has_died

# What of a code location tells that Dagster started its server here, from these; a server of somebody else tells only where it listens.
_LOADED_FROM = {"python_file", "module_name", "package_name", "autoload_defs_module_name"}
# What Dagster's own launcher leaves at the runs that it has launched.
_BY_DAGSTER = ".dagster/grpc_info"
_log = logging.getLogger("dagster.dinmo_pipeline.launcher")
# A fork that cannot be made is said at once. One process that does not answer may have hung; two have a reason that stays.
_ATTEMPTS = 2


# Dagster has no public names for what a launcher answers.
_BASE: Any = sys.modules[DefaultRunLauncher.__mro__[1].__module__]


class ForkingRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, except that runs of this Python are forked from one warm process instead of importing everything again."""

    def __init__(self, inst_data: Any = None) -> None:
        super().__init__(inst_data)
        self._lock = Lock()
        self._warm: WarmProcess | None = None

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
        self._fork(run, json.dumps({"argument": json.dumps(argument), "home": self._instance.root_directory}))

    def _fork(self, run: DagsterRun, request: str) -> None:
        """Have the warm process fork; one that gives no answer is replaced, and a new one is asked.

        Whether the first one forked nobody knows then, so each fork looks first whether the run has a process: it has one at most.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            warm = self._warm_process()
            try:
                refused = warm.fork(request)
            except NoAnswer as error:
                self._replace(warm)
                words = f"the process that runs are forked from gave no answer: {error}"
                if attempt == _ATTEMPTS:
                    raise LaunchError(f"starting the run: {words}; launch the run again") from error
                _log.warning("%s; it was killed, and run %s is forked from a new one", words, run.run_id)
                continue
            if refused is not None:
                raise LaunchError(f"starting the run: the process that runs are forked from could not: {refused}; launch the run again")
            return

    def _warm_process(self) -> WarmProcess:
        # Nothing is waited for under this lock.
        with self._lock:
            if self._warm is None or self._warm.has_ended:
                self._warm = WarmProcess()
            return self._warm

    def _replace(self, warm: WarmProcess) -> None:
        """Kill it; the runs that it forked go on. Another thread may have replaced it already."""
        warm.kill()
        with self._lock:
            if self._warm is warm:
                self._warm = None

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes: Dagster's run monitoring asks for each run that has begun."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> Any:
        """Return whether the process of the run is gone, that of a `dinmo sync` too; what nobody can tell counts as running."""
        if has_died(self._instance, run.run_id):
            return _BASE.CheckRunHealthResult(_BASE.WorkerStatus.FAILED, "its process was killed, or its machine went down")
        return _BASE.CheckRunHealthResult(_BASE.WorkerStatus.RUNNING)

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
            warm, self._warm = self._warm, None
        if warm is not None:
            warm.end()
        super().dispose()


class LaunchError(DinmoError):
    """A run could not be begun; nothing of it was executed."""


def _can_be_forked(run: DagsterRun) -> bool:
    """Return whether its code is what this Python would load, on a system whose libraries bear a fork: those of macOS do not."""
    remote, code = run.remote_job_origin, run.job_code_origin
    return (
        sys.platform == "linux"
        and remote is not None
        and code is not None
        and code.repository_origin.executable_path == sys.executable
        and not _LOADED_FROM.isdisjoint(remote.repository_origin.code_location_origin.get_display_metadata())
    )
