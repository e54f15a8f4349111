"""Syncs as Dagster runs, in this process: the same jobs that the UI and the schedules launch, recorded in the same place."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dagster import AssetKey, AssetMaterialization, AssetObservation, ExecuteInProcessResult
from dagster._core.events import RunFailureReason

from dinmo_pipeline.catalog.import_events import NOTES
from dinmo_pipeline.catalog.results import DeliveredSync, ImportedFile
from dinmo_pipeline.cli.dagster.instance import dagster_home as dagster_home  # Tests and tools look for it here.
from dinmo_pipeline.cli.dagster.instance import open_instance, storage_errors
from dinmo_pipeline.cli.outcome import Imported, Outcome
from dinmo_pipeline.components import project_repository
from dinmo_pipeline.components.asset_keys import delivery_key, import_job_name, job_name, partitions_name, snapshot_key, table_key
from dinmo_pipeline.operations.run_locks import end_dead_runs, holding_new
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.specs import RunType
from dinmo_pipeline.sync.run_slot import release_run_slot

# As Dagster tags the runs that it launches.
LOCATION_TAG = "dagster/code_location"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Runner:
    """Runs jobs of one project; a table is refreshed once for all syncs of one Runner. A context manager."""

    def __init__(self, loaded: LoadedProject) -> None:
        self._project = loaded.project
        self._repository = project_repository(loaded)
        self._home = dagster_home(loaded.project)
        self._opened = ExitStack()
        self._instance = self._opened.enter_context(open_instance(self._home, captures_output=False))
        self._refreshed: set[AssetKey] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._opened.close()

    def sync(self, activation: str, label: str, *, full: bool) -> Outcome:
        """Refresh what the activation needs and no earlier sync of this Runner has, take its rows, deliver."""
        spec = self._project.activations[activation]
        tables = [table_key(table.ref) for table in self._project.tables_for(spec.source)]
        own = (
            [snapshot_key(activation), delivery_key(activation)] if spec.run_type == RunType.FULL_THEN_DELTA else [delivery_key(activation)]
        )
        options = {"ops": {"__".join(own[0].path): {"config": {"full_resync": True}}}} if full and len(own) > 1 else {}
        try:
            result = self._run(activation, label, [*(key for key in tables if key not in self._refreshed), *own], options)
        finally:
            release_run_slot(self._project, spec)
        self._refreshed.update({made.asset_key for made in _materialized(result)}.intersection(tables))
        return _outcome(activation, result)

    def deliver(self, activation: str, label: str) -> Outcome:
        """Deliver the sync of this label, whose rows are kept already."""
        return _outcome(activation, self._run(activation, label, [delivery_key(activation)], {}))

    def import_files(self, feed: str) -> Imported:
        """Import the files of a feed that are due."""
        result = self._execute(import_job_name(feed), run_config=_QUIET)
        told = [event for event in _told(result) if event.asset_key.path[0] == "feeds"]
        files = tuple(ImportedFile.read(event.metadata) for event in told)
        return Imported(feed, files, None if result.success else _problem(result), tuple(_notes(result)))

    def _run(self, activation: str, label: str, keys: Iterable[AssetKey], options: Mapping[str, Any]) -> ExecuteInProcessResult:
        with storage_errors(self._home):
            self._instance.add_dynamic_partitions(partitions_name(activation), [label])
        return self._execute(job_name(activation), run_config={**options, **_QUIET}, partition_key=label, asset_selection=list(keys))

    def _execute(self, job: str, **asked: Any) -> ExecuteInProcessResult:
        """Run the job here. Runs of it whose process was killed are ended first, and nobody takes this one for such.

        KeyboardInterrupt when Ctrl-C, or a signal, has ended the run: Dagster makes a failed run of that, and nothing more.
        """
        with storage_errors(self._home), holding_new(self._instance) as run_id:
            end_dead_runs(self._instance, job)
            tags = {LOCATION_TAG: location_name(self._project.root)}
            result = self._repository.get_job(job).execute_in_process(
                instance=self._instance, run_id=run_id, raise_on_error=False, tags=tags, **asked
            )
        if _was_interrupted(result):
            raise KeyboardInterrupt
        return result


def loads_itself(root: Path) -> bool:
    """Return whether the project says on its own what Dagster loads."""
    tool = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})
    return "dagster" in tool or "project" in tool.get("dg", {}) or (root / "workspace.yaml").exists()


def location_name(root: Path) -> str:
    """Return what Dagster calls the code location of the project."""
    tool = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})
    project = tool.get("dg", {}).get("project", {})
    name = project.get("code_location_name") or str(project.get("root_module") or "").replace("_", "-")
    return str(name or "dinmo_pipeline.definitions")


def _materialized(result: ExecuteInProcessResult) -> list[AssetMaterialization]:
    return [event.materialization for event in result.all_events if event.is_step_materialization]


def _told(result: ExecuteInProcessResult) -> Iterator[AssetMaterialization | AssetObservation]:
    for event in result.all_events:
        if event.is_step_materialization:
            yield event.materialization
        elif event.event_type_value == "ASSET_OBSERVATION":
            yield event.asset_observation_data.asset_observation


def _notes(result: ExecuteInProcessResult) -> Iterator[str]:
    for event in result.all_events:
        if (
            event.event_type_value == "ASSET_CHECK_EVALUATION"
            and (notes := event.asset_check_evaluation_data.metadata.get(NOTES)) is not None
        ):
            yield from str(notes.value).splitlines()


def _outcome(activation: str, result: ExecuteInProcessResult) -> Outcome:
    deliveries = tuple(DeliveredSync.read(made.metadata) for made in _materialized(result) if made.asset_key == delivery_key(activation))
    return Outcome(activation, deliveries, None if result.success else _problem(result))


def _was_interrupted(result: ExecuteInProcessResult) -> bool:
    failures = [event.job_failure_data for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE"]
    return any(failure.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION for failure in failures)


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
