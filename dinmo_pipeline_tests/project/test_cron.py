"""Cron expressions: Dagster itself says which are valid, and when they come."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import dagster
import pytest

from dinmo_pipeline.durations import every_cron, every_problem
from dinmo_pipeline.project.cron import cron_problem, first_ticks

START = datetime(2025, 1, 1, tzinfo=UTC)
VALID = [
    "0 7 * * *",
    "*/15 * * * *",
    "5/15 * * * *",
    "1-5/2,7 * * * *",
    "0 7 L * *",
    "0 7 1,L * *",
    "0 0 29 2 *",
    "0 7 * * mon-fri",
    "0 7 * jan,FEB sun",
    "0 7 * * 7",
    "0 7 * * 5-7",
    "0 7 15 * 1",
    "0 7 */2 * 1",
    "0 7 * * */2",
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
    "@yearly",
]
INVALID = [
    "",
    "* * * *",
    "0 7 * * * *",
    "60 * * * *",
    "0 24 * * *",
    "0 0 0 * *",
    "0 7 * * 8",
    "a b c d e",
    "0 0 30 2 *",
    "0 7 ,1 * *",
    "*/0 * * * *",
]


def dagster_schedule(expression: str) -> dagster.ScheduleDefinition:
    return dagster.ScheduleDefinition(name="s", target="*", cron_schedule=expression, execution_timezone="UTC")


@pytest.mark.parametrize("expression", VALID)
def test_valid_expression_comes_when_dagster_says(expression: str) -> None:
    assert cron_problem(expression) is None
    ticks = first_ticks([expression], start=START, days=1600, count=40)
    # The public way to the ticks is the schedule's partitions: a definition of the same cron from the same start.
    window = dagster.TimeWindowPartitionsDefinition(
        start=START, end=ticks[-1], cron_schedule=expression, fmt="%Y-%m-%d %H:%M", timezone="UTC"
    )
    keys = window.get_partition_keys(current_time=datetime(2030, 1, 1, tzinfo=UTC))
    assert keys == [f"{tick:%Y-%m-%d %H:%M}" for tick in ticks[: len(keys)]]
    assert len(keys) >= len(ticks) - 1
    dagster_schedule(expression)


@pytest.mark.parametrize("expression", INVALID)
def test_invalid_expression_is_refused_here_as_by_dagster(expression: str) -> None:
    assert cron_problem(expression) is not None
    with pytest.raises(dagster.DagsterInvalidDefinitionError):
        dagster_schedule(expression)


def test_ticks_of_two_schedules_come_in_order_and_once() -> None:
    ticks = first_ticks(["0 7 * * *", "0 7,19 * * *"], start=START, days=2, count=9)
    assert [f"{tick:%d %H}" for tick in ticks] == ["01 07", "01 19", "02 07", "02 19"]
    assert list(itertools.pairwise(ticks)) == list(itertools.pairwise(sorted(ticks)))


@pytest.mark.parametrize(
    ("interval", "cron"),
    [
        ("1 minute", "*/1 * * * *"),
        ("15 minutes", "*/15 * * * *"),
        ("60 minutes", "0 */1 * * *"),
        ("2 hours", "0 */2 * * *"),
        ("24 hours", "0 0 * * *"),
        ("1 day", "0 0 * * *"),
    ],
)
def test_interval_becomes_a_cron_that_comes_as_often(interval: str, cron: str) -> None:
    count, unit = interval.split()
    apart = int(count) * {"minute": 60, "hour": 3600, "day": 86400}[unit.rstrip("s")]
    ticks = first_ticks([every_cron(interval)], start=START, days=4, count=60)

    assert every_cron(interval) == cron
    assert {int((later - earlier).total_seconds()) for earlier, later in itertools.pairwise(ticks)} == {apart}


@pytest.mark.parametrize("interval", ["0 minutes", "7 minutes", "61 minutes", "5 hours", "36 hours", "2 days", "minutes", "1  hour"])
def test_interval_that_no_clock_shows_is_refused(interval: str) -> None:
    assert every_problem(interval) is not None
