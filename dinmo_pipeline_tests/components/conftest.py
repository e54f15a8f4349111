"""The jobs of a project, run in this process on an instance of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance, ExecuteInProcessResult, RepositoryDefinition

from dinmo_pipeline.components import project_repository
from dinmo_pipeline.components.asset_keys import delivery_key, job_name, partitions_name
from dinmo_pipeline.project.load import load_with_warnings
from dinmo_pipeline.project.specs import now_utc
from dinmo_pipeline.sync.ledger.state import State
from dinmo_pipeline.sync.service import SyncService
from dinmo_pipeline_tests.cli.conftest import dinmo as dinmo

# What a step prints is nobody's question here: without it Dagster starts two processes less for each.
_NO_LOGS = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
_INSTANCE = {"telemetry": {"enabled": False}, "compute_logs": _NO_LOGS}


@dataclass(frozen=True)
class Dagster:
    """A project in Dagster. `run` launches the job of an activation, or some of its assets, for one partition; `clock` is
    the project's."""

    root: Path
    instance: DagsterInstance
    clock: Callable[[], datetime] = now_utc
    _ended: dict[str, int] = field(default_factory=dict)

    @property
    def repository(self) -> RepositoryDefinition:
        """Everything that Dagster would load, as the definitions are now."""
        loaded = load_with_warnings(self.root)
        return project_repository(replace(loaded, project=replace(loaded.project, clock=self.clock)))

    def run(
        self,
        activation: str,
        partition: str,
        *,
        assets: Sequence[AssetKey] | None = None,
        config: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> ExecuteInProcessResult:
        self._wait_for_another_second(activation)
        self.instance.add_dynamic_partitions(partitions_name(activation), [partition])
        result = self.repository.get_job(job_name(activation)).execute_in_process(
            partition_key=partition,
            instance=self.instance,
            asset_selection=assets,
            raise_on_error=False,
            tags=tags,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, **(config or {})},
        )
        self._ended[activation] = int(time.time())
        return result

    def _wait_for_another_second(self, activation: str) -> None:
        # A file's name has the second of its sync, and two syncs may not have one name.
        while self.clock is now_utc and int(time.time()) == self._ended.get(activation):
            time.sleep(0.02)

    def state(self, activation: str) -> State:
        """What the activation's log says."""
        project = load_with_warnings(self.root).project
        return SyncService(project, project.activations[activation]).state()


def materialization(result: ExecuteInProcessResult, key: AssetKey) -> AssetMaterialization:
    """The newest materialization of the asset in this run."""
    made = [event.materialization for event in result.all_events if event.is_step_materialization and event.asset_key == key]
    assert made, f"{key.to_user_string()} was not materialized"
    return made[-1]


def delivery_metadata(result: ExecuteInProcessResult, activation: str) -> dict[str, Any]:
    """The values that the delivery told of itself."""
    return {name: value.value for name, value in materialization(result, delivery_key(activation)).metadata.items()}


def failure(result: ExecuteInProcessResult) -> tuple[str, Any]:
    """The words of the step that failed, and its data."""
    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    data = failed.step_failure_data.user_failure_data
    assert data is not None, failed.step_failure_data.error
    return data.description or "", failed


@pytest.fixture
def in_dagster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Dagster]]:
    """`in_dagster(root)`: the project in `root` on an instance that ends with the test."""
    for name in ("DINMO_HOME", "DINMO_REDIRECT", "DINMO_AUTOSTART", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    with DagsterInstance.local_temp(overrides=_INSTANCE) as instance:
        yield lambda root: Dagster(root, instance)
