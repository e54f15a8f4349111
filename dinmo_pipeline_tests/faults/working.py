"""A process of its own that works, with a fault on its way or none, and tells what it came to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import RunType
from dinmo_pipeline.storages.object_store import contract as objects
from dinmo_pipeline.sync.backends import object_store as object_state
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.service import SyncService
from dinmo_pipeline_tests.faults.kinds import AROUND, Fault, Injected, happen_inside, obey_rights
from dinmo_pipeline_tests.faults.points import Point, Site, Watch
from dinmo_pipeline_tests.sync.disk import forking

Job = Literal["sync", "import"]

LEASE_S = 4.0
# So that small files, too, go to object stores as uploads that are completed later; the smallest do not.
_AT_ONCE = 20
_LONGEST_S = 300


@dataclass(frozen=True)
class Hit:
    """The fault's point is come to."""

    fault: Fault
    point: Point


@dataclass(frozen=True)
class Ended:
    """One piece of work has ended: what it says, or the error's type and text; `ours` when that is one of the product's."""

    outcome: str
    error: str = ""
    ours: bool = True


@dataclass(frozen=True)
class Work:
    """What became of one piece of work. `ended` is None when the process was killed in it; `sites` were come to so often."""

    fault: Fault | None
    hit: Point | None
    ended: Ended | None
    sites: Mapping[Site, int]


class Workers:
    """Makes a process for each piece of work, by forking one that has everything imported. A context manager."""

    def __init__(self) -> None:
        self._here, there = forking().Pipe()
        self._forker = forking().Process(target=_fork_for_each, args=(there,))
        self._forker.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._forker.kill()
        self._forker.join()

    def work(
        self,
        job: Job,
        root: Path,
        now: datetime,
        faults: Sequence[Fault | None],
        variables: Mapping[str, str],
        around: Callable[[Fault, Point], None],
        afterwards: Callable[[], None],
    ) -> list[Work]:
        """Do the job once for each of `faults`, one after the other in one process: what became of each, as far as it lived.

        `around` breaks what is around the process; `afterwards` is called after each piece of work, however it ended.
        """
        done: list[Work] = []
        hit: Point | None = None
        self._here.send((job, root, now, faults, dict(variables)))
        while True:
            assert self._here.poll(_LONGEST_S), f"it hangs: {faults[len(done)]}"
            match self._here.recv():
                case Hit(fault, point):
                    hit = point
                    if fault.kind in AROUND:
                        around(fault, point)
                        self._here.send("go on")
                case Ended() as ended, sites:
                    afterwards()
                    self._here.send("go on")
                    done.append(Work(faults[len(done)], hit, ended, sites))
                    hit = None
                case code if len(done) < len(faults):
                    assert code in (-signal.SIGKILL, -signal.SIGALRM), f"it ended with {code}: {faults[len(done)]}"
                    afterwards()
                    return [*done, Work(faults[len(done)], hit, None, {})]
                case _:
                    return done


def _fork_for_each(parent: Connection) -> None:
    while True:
        arguments = parent.recv()
        worker = multiprocessing.get_context("fork").Process(target=_work, args=(*arguments, parent))
        worker.start()
        worker.join()
        parent.send(worker.exitcode)


def _work(job: Job, root: Path, now: datetime, faults: Sequence[Fault | None], variables: Mapping[str, str], parent: Connection) -> None:
    os.environ.update(variables)
    for module, name, value in ((object_state, "LEASE_S", LEASE_S), (objects, "AT_ONCE", _AT_ONCE)):
        setattr(module, name, value)
    tempfile.tempdir = str(root / "tmp")
    obey_rights()
    armed: Fault | None = None
    sites = Counter[Site]()
    turn = threading.RLock()

    def on_point(point: Point) -> None:
        with turn:
            sites[point.site] += 1
            comes = armed is not None and point.site == armed.site and sites[point.site] == armed.occurrence
            if comes and armed is not None:
                parent.send(Hit(armed, point))
                if armed.kind in AROUND:
                    parent.recv()
        if comes and armed is not None and armed.kind not in AROUND:
            happen_inside(armed, point)

    watch = Watch(root, on_point)
    for fault in faults:
        begin = {"sync": _sync, "import": _import}[job](root, now)
        sites.clear()
        armed = fault
        with watch.on():
            ended = _ended(begin)
        # It came through before it was to be killed.
        signal.setitimer(signal.ITIMER_REAL, 0)
        parent.send((ended, dict(sites)))
        parent.recv()


def _ended(begin: Callable[[], str]) -> Ended:
    try:
        return Ended(begin())
    except (DinmoError, Injected) as error:
        return Ended("failed", f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
        return Ended("failed", f"{type(error).__name__}: {error}", ours=False)


def _sync(root: Path, now: datetime) -> Callable[[], str]:
    project = load_project(root)

    def begin() -> str:
        for table in project.tables.values():
            refresh(project, table)
        syncs = SyncService(project, project.activations["export"])
        with syncs.turn():
            completed = syncs.roll_forward()
            if completed is not None and completed.ends_run:
                return "completed"
            if syncs.spec.run_type == RunType.FULL_THEN_DELTA:
                syncs.take_snapshot(label_of_instant(now), now=now)
            syncs.deliver(label_of_instant(now), now=now)
        return "delivered"

    return begin


def _import(root: Path, now: datetime) -> Callable[[], str]:
    project = load_project(root)

    def begin() -> str:
        with InboxPass(project, "partner") as inbox:
            taken: list[Any] = list(inbox.take(inbox.look().due))
        return f"{len(taken)} imported"

    return begin
