"""Syncs as Dagster runs, in this process: the same jobs that the UI and the schedules launch, recorded in the same place."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dagster import AssetKey, DagsterEvent, DagsterInstance, ExecuteInProcessResult

from dinmo_pipeline.cli.outcome import Outcome
from dinmo_pipeline.components import project_definitions
from dinmo_pipeline.components.naming import delivery_key, job_name, partitions_name, snapshot_key, table_key
from dinmo_pipeline.project.load import load_with_warnings
from dinmo_pipeline.project.specs import Project, RunType
from dinmo_pipeline.sync.log import make_private_folder

_DAGSTER_YAML = (
    "# Dagster's own settings; what may stand here: https://docs.dagster.io/deployment/oss/dagster-yaml\ntelemetry:\n  enabled: false\n"
)


class Runner:
    """Runs jobs of one project; a table is refreshed once for all syncs of one Runner. A context manager."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._repository = project_definitions(load_with_warnings(project.root)).get_repository_def()
        os.environ["DAGSTER_HOME"] = str(dagster_home(project))
        self._instance = DagsterInstance.get()
        self._refreshed: set[AssetKey] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._instance.dispose()

    def sync(self, activation: str, label: str, *, full: bool) -> Outcome:
        """Refresh what the activation needs and no earlier sync of this Runner has, take its rows, deliver."""
        spec = self._project.activations[activation]
        tables = [table_key(table.ref) for table in self._project.tables_for(spec.source)]
        own = (
            [snapshot_key(activation), delivery_key(activation)] if spec.run_type == RunType.FULL_THEN_DELTA else [delivery_key(activation)]
        )
        options = {"ops": {"__".join(own[0].path): {"config": {"full_resync": True}}}} if full and len(own) > 1 else {}
        result = self._run(activation, label, [*(key for key in tables if key not in self._refreshed), *own], options)
        self._refreshed.update(key for key in tables if any(event.asset_key == key for event in _materializations(result)))
        return _outcome(activation, result)

    def deliver(self, activation: str, label: str) -> Outcome:
        """Deliver the sync of this label, whose rows are kept already."""
        return _outcome(activation, self._run(activation, label, [delivery_key(activation)], {}))

    def _run(self, activation: str, label: str, keys: Iterable[AssetKey], options: Mapping[str, Any]) -> ExecuteInProcessResult:
        self._instance.add_dynamic_partitions(partitions_name(activation), [label])
        return self._repository.get_job(job_name(activation)).execute_in_process(
            run_config={**options, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            partition_key=label,
            instance=self._instance,
            asset_selection=list(keys),
            raise_on_error=False,
        )


def dagster_home(project: Project) -> Path:
    """Where Dagster keeps its runs: what the user has set, else a folder in the project's home, which is made."""
    if chosen := os.environ.get("DAGSTER_HOME"):
        return Path(chosen)
    home = project.home / "dagster"
    make_private_folder(home)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(_DAGSTER_YAML, encoding="utf-8")
    return home


def loads_itself(root: Path) -> bool:
    """Whether the project says on its own what Dagster loads."""
    if (root / "workspace.yaml").exists():
        return True
    return "dagster" in tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})


def _materializations(result: ExecuteInProcessResult) -> list[DagsterEvent]:
    return [event for event in result.all_events if event.is_step_materialization]


def _outcome(activation: str, result: ExecuteInProcessResult) -> Outcome:
    if not result.success:
        return Outcome(activation, problem=_problem(result))
    delivered: dict[str, Any] = {}
    for event in _materializations(result):
        if event.asset_key == delivery_key(activation):
            delivered = {name: value.value for name, value in event.materialization.metadata.items()}
    if delivered.pop("rolled forward", False) and not any(event.asset_key == delivery_key(activation) for event in _outputs(result)):
        return Outcome(
            activation, delivered, notes=("an earlier sync was half delivered; it is complete now. Run again for newer changes",)
        )
    return Outcome(activation, delivered)


def _outputs(result: ExecuteInProcessResult) -> list[DagsterEvent]:
    return [event for event in _materializations(result) if event.step_key is not None and event.step_key.endswith("__delivery")]


def _problem(result: ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data is not None and failure.user_failure_data.description:
                return failure.user_failure_data.description
            error = failure.error
            while error is not None and error.cause is not None:
                error = error.cause
            return error.to_string() if error is not None else "the step failed, and Dagster says no more"
    return "the run failed before its first step"
