"""Time that a test moves on: schedules tick when Dagster's iterator says so, sensors look, and the runs that they ask for end at once."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dagster import (
    DagsterInstance,
    ExecuteInProcessResult,
    RunRequest,
    ScheduleEvaluationContext,
    build_schedule_context,
    build_sensor_context,
)
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._utils.schedules import schedule_execution_time_iterator

from dinmo_pipeline.components import project_repository
from dinmo_pipeline.components.asset_keys import delivery_key, job_name
from dinmo_pipeline.project.load import load_with_warnings

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_SENSORS_LOOK_AFTER = timedelta(seconds=30)


@dataclass(frozen=True)
class Skipped:
    """A tick that asked for no run, and why."""

    schedule: str
    at: datetime
    reason: str


class World:
    """A project in Dagster, all of whose schedules and sensors run, from `now` on."""

    def __init__(self, root: Path, instance: DagsterInstance, now: datetime) -> None:
        self.now = now
        self.skipped: list[Skipped] = []
        self.runs: list[tuple[str, str]] = []
        loaded = load_with_warnings(root)
        self._instance = instance
        self._repository = project_repository(replace(loaded, project=replace(loaded.project, clock=lambda: self.now)))
        self._cursors: dict[str, str | None] = {sensor.name: None for sensor in self._repository.sensor_defs}
        self._ticks = heapq.merge(*(_ticks(schedule, now) for schedule in self._repository.schedule_defs))
        self._next = next(self._ticks)
        self.look("after")

    def advance(self, until: datetime) -> None:
        """Let time pass. What is due before `until` runs when it is due, and what comes after that half a minute later."""
        until = until.astimezone(UTC)
        while self._next[0] < until:
            self.now, schedule = self._next
            self._next = next(self._ticks)
            self._tick(schedule)
            self.now += _SENSORS_LOOK_AFTER
            while self.look("after"):
                pass
        self.now = until

    def look(self, name: str) -> int:
        """A sensor looks once; how many runs it asked for, which have ended."""
        context = build_sensor_context(instance=self._instance, cursor=self._cursors[name], repository_def=self._repository)
        with self._partitions():
            result = self._repository.get_sensor_def(name).evaluate_tick(context)
        self._cursors[name] = result.cursor
        for request in result.run_requests or ():
            self._launch(request, str(request.job_name))
        return len(result.run_requests or ())

    def approve(self, activation: str, partition: str) -> None:
        """Launch the delivery of this partition alone, with the tag that approves, as a person does it in the UI."""
        result = self._run(job_name(activation), partition, tags={"dinmo/approve": "ana"}, asset_selection=[delivery_key(activation)])
        assert result.success

    def _partitions(self) -> AbstractContextManager[object]:
        """As the code server has it while it evaluates."""
        return partition_loading_context(dynamic_partitions_store=self._instance)

    def _tick(self, name: str) -> None:
        schedule = self._repository.get_schedule_def(name)
        context = build_schedule_context(instance=self._instance, scheduled_execution_time=self.now, repository_def=self._repository)
        # A tick opens its instance anew, and one in memory would be another one.
        with self._partitions(), patch.object(ScheduleEvaluationContext, "instance", self._instance):
            data = schedule.evaluate_tick(context)
        for request in data.run_requests or ():
            self._launch(request, schedule.job_name)
        if not data.run_requests:
            self.skipped.append(Skipped(name, self.now, data.skip_message or ""))

    def _launch(self, request: RunRequest, job: str) -> None:
        self._run(job, request.partition_key, tags=dict(request.tags))

    def _run(self, job: str, partition: str | None, **more: Any) -> ExecuteInProcessResult:
        result = self._repository.get_job(job).execute_in_process(
            partition_key=partition, instance=self._instance, raise_on_error=False, run_config=_QUIET, **more
        )
        self.runs.append((job, result.run_id))
        return result


def _ticks(schedule: Any, now: datetime) -> Iterator[tuple[datetime, str]]:
    for tick in schedule_execution_time_iterator(now.timestamp(), schedule.cron_schedule, schedule.execution_timezone):
        yield tick.astimezone(UTC), schedule.name
