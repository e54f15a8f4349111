"""Dagster's side of retention: the partitions and runs of syncs that are not kept, both together.

A partition's key alone leaves its materializations behind; those go with the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from dagster import DagsterInstance, RunRecord, RunsFilter

from dinmo_pipeline.cli.running import dagster_home
from dinmo_pipeline.components.naming import job_name, partitions_name
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.sync.cleaning import Litter
from dinmo_pipeline.sync.labels import instant_of_label
from dinmo_pipeline.sync.state import State
from dinmo_pipeline.sync.syncs import Syncs

_PARTITION = "dagster/partition"


def clean_runs(project: Project, *, dry_run: bool) -> tuple[Litter, ...]:
    """Delete partitions whose syncs are older than all that are kept, with their runs, or only tell them."""
    with DagsterInstance.from_config(str(dagster_home(project))) as instance:
        return tuple(
            litter
            for spec in project.activations.values()
            for litter in _clean_activation(instance, spec, Syncs(project, spec).state(), dry_run=dry_run)
        )


def _clean_activation(instance: DagsterInstance, spec: ActivationSpec, state: State, *, dry_run: bool) -> Iterator[Litter]:
    kept = state.kept(spec.keep_syncs)
    if not kept or not state.delivered:
        return
    labels, oldest = {sync.label for sync in kept}, min(sync.started_at for sync in kept)
    for label in instance.get_dynamic_partitions(partitions_name(spec.name)):
        runs = instance.get_run_records(RunsFilter(job_name=job_name(spec.name), tags={_PARTITION: label}))
        if label in labels or not _is_older(label, state, runs, oldest):
            continue
        if not dry_run:
            for run in runs:
                instance.delete_run(run.dagster_run.run_id)
            instance.delete_dynamic_partition(partitions_name(spec.name), label)
        noun = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
        yield Litter("partition", f"{spec.name}: {label}, with {noun}", f"beyond the {spec.keep_syncs} deliveries of keep_syncs")


def _is_older(label: str, state: State, runs: Sequence[RunRecord], oldest: datetime) -> bool:
    """Whether everything of this partition ended before the oldest sync that is kept; one that nothing is known of may just begin."""
    instant = instant_of_label(label)
    moments = [
        *([instant] if instant is not None else ()),
        *(sync.started_at for sync in state.with_label(label)),
        *(run.create_timestamp for run in runs),
    ]
    return bool(moments) and max(moments) < oldest and all(run.dagster_run.is_finished for run in runs)
