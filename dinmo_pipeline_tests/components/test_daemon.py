"""Dagster's own daemon, a process of its own, on our schedules and our sensor."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from dagster import DagsterInstance, DagsterRun

from ..people import BIN, Ran, activation, make_people, run_command

pytestmark = pytest.mark.xdist_group("daemon")

T = TypeVar("T")
_WAIT_S = 300.0
_DAGSTER_YAML = """\
telemetry: {enabled: false}
run_launcher: {module: dinmo_pipeline.launching, class: ForkingRunLauncher}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """`hourly` by its schedule, `follower` after it."""
    root = make_people(
        tmp_path, activation("hourly", every="1 hour", file_name='"{X}"') + activation("follower", after="hourly", file_name='"{x}"')
    )
    (root / "home").mkdir()
    (root / "home" / "dagster.yaml").write_text(_DAGSTER_YAML, encoding="utf-8")
    return root


def dagster(project: Path, *command: str) -> Ran:
    done = run_command(*command, "-m", "dinmo_pipeline.definitions", cwd=project, env={"DAGSTER_HOME": str(project / "home")})
    assert done.code == 0, done.err
    return done


@contextmanager
def daemon(project: Path) -> Iterator[None]:
    log = project / "daemon.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DINMO_", "DAGSTER_"))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [BIN / "dagster-daemon", "run", "-m", "dinmo_pipeline.definitions"],
            cwd=project,
            env={**environment, "DAGSTER_HOME": str(project / "home")},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(look: Callable[[], T | None], project: Path) -> T:
    deadline = time.monotonic() + _WAIT_S
    while (found := look()) is None:
        assert time.monotonic() < deadline, (project / "daemon.log").read_text(encoding="utf-8")[-5000:]
        time.sleep(0.5)
    return found


def runs(project: Path, job: str) -> list[DagsterRun]:
    with DagsterInstance.from_config(str(project / "home")) as instance:
        return [run for run in instance.get_runs() if run.job_name == job]


def pretend_it_was_down(project: Path, since: datetime) -> None:
    """The schedule was started at this instant, and no daemon has looked at it since."""
    (path,) = (project / "home").rglob("schedules.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        changed = connection.execute(
            "UPDATE instigators SET instigator_body = json_set(instigator_body, '$.job_specific_data.start_timestamp', ?) "
            "WHERE instigator_body LIKE '%hourly_schedule%'",
            [since.timestamp()],
        )
        assert changed.rowcount == 1


def test_ticks_missed_while_the_daemon_was_down_run_once_and_start_what_comes_after(project: Path) -> None:
    dagster(project, "dagster", "schedule", "start", "hourly_schedule")
    dagster(project, "dagster", "sensor", "start", "after")
    now = datetime.now(UTC)
    pretend_it_was_down(project, now - timedelta(days=3))

    with daemon(project):

        def both_ended() -> bool | None:
            found = [*runs(project, "sync_hourly"), *runs(project, "sync_follower")]
            return True if len(found) > 1 and all(run.is_finished for run in found) else None

        wait_for(both_ended, project)

    (hourly,), (follower,) = runs(project, "sync_hourly"), runs(project, "sync_follower")
    assert (hourly.is_success, follower.is_success) == (True, True)
    # One run stands for three days of ticks, and its instant is the last one's.
    last = now.replace(minute=0, second=0, microsecond=0)
    assert [path.name for path in (project / "out" / "hourly").iterdir()] in (
        [f"{int((last + timedelta(hours=late)).timestamp())}.csv"] for late in (0, 1)
    )
    assert len(list((project / "out" / "follower").iterdir())) == 1
    assert follower.tags["dinmo/after"] == "hourly"
    assert ".dagster/grpc_info" not in hourly.tags, "Dagster launched it, and it was not forked"
