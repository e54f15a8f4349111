"""Which runs still have a process: each holds the lock of a file in Dagster's home, which the system lets go when the process ends.

A process id would be another process's after a restart, and means nothing in another container; a lock is neither.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from dinmo_pipeline.local_files.private import make_private_folder

_FOLDER = "running"
_LOCK_S = 10.0
_PAUSE_S = 0.05
_KILLED = "The process of this run was killed, or its machine went down, before the run ended."
# A queued run has no process yet, and neither has one that is being started: its launcher sees to it.
_WITH_PROCESS = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


@contextmanager
def holding(home: Path, run_id: str) -> Iterator[bool]:
    """Be the process of the run, for all others on this home of Dagster, until the block or the process ends.

    False where the run has or had another process, which is not to be executed twice. OSError when the disk fails.
    """
    path = home / _FOLDER / run_id
    make_private_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        yield False
        return
    try:
        _lock(descriptor)
        yield True
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Hold the lock of a file that was just made; who looks whether its run died has it for a moment. TimeoutError after that.

    Until then the run has not begun, so nobody takes it for dead. Where the file system knows no locks nobody does later, either.
    """
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another process has had the new run's lock for {_LOCK_S:.0f} s; start the run again") from None
            time.sleep(_PAUSE_S)
        except OSError:
            return
        else:
            return


@contextmanager
def holding_new(instance: DagsterInstance) -> Iterator[str]:
    """Hold the lock of a run that begins now in this process; yields its id."""
    run_id = str(uuid.uuid4())
    with holding(Path(instance.root_directory), run_id):
        yield run_id


def has_died(instance: DagsterInstance, run_id: str) -> bool:
    """Return whether the run had a process on this home and has none any more. False, too, where nobody can tell."""
    try:
        descriptor = os.open(_path(instance, run_id), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        # It has ended, or runs on another machine, or a version wrote it that held no lock.
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # It is held. Where the file system knows no locks nobody can tell.
        return False
    finally:
        os.close(descriptor)
    return True


def dead_runs(instance: DagsterInstance, job: str | None = None) -> list[DagsterRun]:
    """Return the unfinished runs, of this job or of all, whose process has died."""
    unfinished = instance.get_run_records(RunsFilter(job_name=job, statuses=_WITH_PROCESS))
    return [record.dagster_run for record in unfinished if has_died(instance, record.dagster_run.run_id)]


def end_dead_runs(instance: DagsterInstance, job: str | None = None) -> list[DagsterRun]:
    """Fail those runs, or cancel them where somebody asked for that; never one whose process lives. The runs."""
    ended = []
    for found in dead_runs(instance, job):
        # Between the two looks it may have been ended by somebody else.
        run = instance.get_run_by_id(found.run_id)
        if run is None or run.is_finished:
            continue
        if run.status == DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _KILLED)
        else:
            instance.report_run_failed(run, _KILLED)
        _path(instance, run.run_id).unlink(missing_ok=True)
        ended.append(run)
    return ended


def forget_ended(instance: DagsterInstance) -> None:
    """Delete the files that killed processes left, once their runs have ended."""
    for path in (Path(instance.root_directory) / _FOLDER).glob("*"):
        run = instance.get_run_by_id(path.name)
        if (run is None or run.is_finished) and has_died(instance, path.name):
            path.unlink(missing_ok=True)


def _path(instance: DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / _FOLDER / run_id
