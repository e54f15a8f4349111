"""Whether a run has a process: told from a lock, which no crash leaves behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job

from dinmo_pipeline.operations.run_locks import end_dead_runs, forget_ended, has_died, holding

_HOLDER = """
import sys
from pathlib import Path
from dinmo_pipeline.operations.run_locks import holding
with holding(Path(sys.argv[1]), sys.argv[2]) as ours:
    print("ours" if ours else "taken", flush=True)
    sys.stdin.read()
"""


@job
def anything() -> None: ...


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path), overrides={"telemetry": {"enabled": False}}) as made:
        yield made


def holder(instance: DagsterInstance, run_id: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, instance.root_directory, run_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ours\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("status", "ends"), [(DagsterRunStatus.STARTED, DagsterRunStatus.FAILURE), (DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED)]
)
def test_run_is_ended_when_its_process_was_killed_and_not_before(
    instance: DagsterInstance, status: DagsterRunStatus, ends: DagsterRunStatus
) -> None:
    run = instance.create_run_for_job(anything, status=status)
    process = holder(instance, run.run_id)
    alive = (has_died(instance, run.run_id), end_dead_runs(instance))
    kill(process)

    assert alive == (False, [])
    assert [ended.run_id for ended in end_dead_runs(instance, "anything")] == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status == ends  # type: ignore[union-attr]
    assert end_dead_runs(instance) == []


def test_run_that_nobody_can_tell_of_is_left_alone(instance: DagsterInstance) -> None:
    instance.create_run_for_job(anything, status=DagsterRunStatus.STARTED)

    assert end_dead_runs(instance) == []


def test_run_that_had_a_process_gets_no_second_one(instance: DagsterInstance) -> None:
    home = Path(instance.root_directory)
    process = holder(instance, "one")
    with holding(home, "one") as while_it_lives:
        pass
    kill(process)
    with holding(home, "one") as after_it_died:
        pass

    assert (while_it_lives, after_it_died) == (False, False)
    forget_ended(instance)
    assert list((home / "running").iterdir()) == []
