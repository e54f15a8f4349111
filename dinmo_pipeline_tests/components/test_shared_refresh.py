"""Syncs that are due at one instant: the first one refreshes the table that they share, the others use it as it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterRun, ExecuteInProcessResult, RunRequest, build_schedule_context

from dinmo_pipeline.components.automation.jobs import due_instant
from dinmo_pipeline.io_managers.warehouse import REUSED

from ..people import FIRST, SECOND, activation, make_people, write_people
from .conftest import Dagster, delivery_metadata, materialization

PEOPLE = AssetKey(["models", "people"])
BOTH = "".join(activation(name, every="1 minute", file_name='"{x}"') for name in ("one", "other"))


@pytest.fixture
def dagster(tmp_path: Path, in_dagster: Callable[[Path], Dagster]) -> Dagster:
    return in_dagster(make_people(tmp_path, BOTH))


def request(dagster: Dagster, name: str, due: datetime) -> RunRequest:
    """What the schedule of the activation asks for at this tick."""
    repository = dagster.repository
    context = build_schedule_context(instance=dagster.instance, scheduled_execution_time=due, repository_def=repository)
    (asked,) = repository.get_schedule_def(f"{name}_schedule").evaluate_tick(context).run_requests or ()
    return asked


def run(dagster: Dagster, name: str, due: datetime) -> ExecuteInProcessResult:
    asked = request(dagster, name, due)
    assert asked.partition_key is not None
    return dagster.run(name, asked.partition_key, tags=dict(asked.tags))


def test_table_that_was_made_since_the_tick_is_shared(dagster: Dagster) -> None:
    due = datetime.now(UTC)
    one = run(dagster, "one", due)
    write_people(dagster.root, SECOND)
    other = run(dagster, "other", due)

    assert [REUSED in materialization(result, PEOPLE).metadata for result in (one, other)] == [False, True]
    assert [delivery_metadata(one, "one")["rows sent"], delivery_metadata(other, "other")["rows sent"]] == [len(FIRST)] * 2


def test_table_that_was_made_before_the_tick_is_made_anew(dagster: Dagster) -> None:
    run(dagster, "one", datetime.now(UTC))
    other = run(dagster, "other", datetime.now(UTC))

    assert REUSED not in materialization(other, PEOPLE).metadata


def test_sync_by_hand_makes_the_table_anew(dagster: Dagster) -> None:
    run(dagster, "one", datetime.now(UTC) - timedelta(minutes=1))
    by_hand = dagster.run("other", "by hand")

    assert REUSED not in materialization(by_hand, PEOPLE).metadata


def test_run_that_is_executed_again_shares_nothing(dagster: Dagster) -> None:
    asked = request(dagster, "one", datetime(2025, 4, 14, 7, tzinfo=UTC))
    first = DagsterRun(job_name="sync_one", tags=dict(asked.tags))
    again = DagsterRun(job_name="sync_one", tags=dict(asked.tags), parent_run_id=first.run_id, root_run_id=first.run_id)

    assert [due_instant(first), due_instant(again)] == [datetime(2025, 4, 14, 7, tzinfo=UTC), None]
