"""The job of an activation, the same whoever launches it; and whether a schedule or the sensor may launch it now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dagster import (
    AssetSelection,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunRequest,
    RunsFilter,
    SkipReason,
    define_asset_job,
    in_process_executor,
)

from dinmo_pipeline.components.asset_keys import delivery_key, job_name, partitions_name, snapshot_key, table_key
from dinmo_pipeline.components.automation.hooks import table_hook
from dinmo_pipeline.components.descriptions import describe_job
from dinmo_pipeline.project.specs import ActivationSpec, Project, RunType
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.service import SyncService

AUTOSTART = "DINMO_AUTOSTART"
# Without its options, which a thousand jobs would describe a thousand times.
IN_ONE_PROCESS = in_process_executor.configured({}, name="in_process")

_UNFINISHED = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)
_RUNNING_AND_WAITING = 2
_DUE = "dinmo/due"


# Dagster has no public name for what define_asset_job makes.
def activation_job(project: Project, spec: ActivationSpec) -> Any:
    """Return the job that refreshes what the activation needs, takes its rows and delivers them, in one process."""
    own = [snapshot_key(spec.name)] if spec.run_type == RunType.FULL_THEN_DELTA else []
    keys = [*(table_key(table.ref) for table in project.tables_for(spec.source)), *own, delivery_key(spec.name)]
    return define_asset_job(
        job_name(spec.name),
        selection=AssetSelection.assets(*keys),
        description=describe_job(spec),
        executor_def=IN_ONE_PROCESS,
        # A table that cannot be refreshed fails the sync, too.
        hooks={table_hook(project, spec)},
    )


def sync_request(
    instance: DagsterInstance, project: Project, spec: ActivationSpec, due: datetime, *, run_key: str, tags: Mapping[str, str] | None = None
) -> RunRequest | SkipReason:
    """Return the run of the sync that is due at this instant, whose partition is added.

    A reason to let it be when one runs and the next one waits already.
    """
    unfinished = instance.get_run_records(RunsFilter(job_name=job_name(spec.name), statuses=list(_UNFINISHED)), limit=_RUNNING_AND_WAITING)
    # A run whose machine went down is unfinished for ever: only one that holds its turn is believed.
    if len(unfinished) == _RUNNING_AND_WAITING and SyncService(project, spec).is_running:
        return SkipReason(
            f"{spec.name}: a sync is running and another one waits, which will send what this one would have; this one is dropped"
        )
    label = label_of_instant(due)
    instance.add_dynamic_partitions(partitions_name(spec.name), [label])
    return RunRequest(run_key=run_key, job_name=job_name(spec.name), partition_key=label, tags={**(tags or {}), _DUE: due.isoformat()})


def due_instant(run: DagsterRun) -> datetime | None:
    """Return since when a table may have been made for the run not to make it again; None where it was not asked for by `sync_request`.

    A run that is executed again has the tags of the first one, and is due when somebody wants it.
    """
    due = run.tags.get(_DUE) if run.parent_run_id is None else None
    return datetime.fromisoformat(due) if due is not None else None
