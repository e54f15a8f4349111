"""Dagster's side of retention: the partitions and runs of syncs and of imports that are not kept, both together.

A partition's key alone leaves its materializations behind; those go with the run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from dagster import DagsterEventType, DagsterInstance, RunRecord, RunsFilter

from dinmo_pipeline.catalog.import_events import files_name
from dinmo_pipeline.cli.dagster.instance import dagster_home, open_instance, storage_errors
from dinmo_pipeline.cli.dagster.removed import clean_removed
from dinmo_pipeline.components.asset_keys import import_job_name, job_name, partitions_name
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.operations.run_locks import dead_runs, end_dead_runs, forget_ended
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.sync.labels import instant_of_label
from dinmo_pipeline.sync.ledger.state import State
from dinmo_pipeline.sync.retention import Litter
from dinmo_pipeline.sync.service import SyncService

KEPT_IMPORTS = 100
"""So many runs of each feed's import stay in Dagster. What was imported is in the warehouse, whatever Dagster knows of it."""

_PARTITION = "dagster/partition"
_TELLING = {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION}


def clean_runs(project: Project, *, dry_run: bool) -> tuple[Litter, ...]:
    """Delete partitions whose syncs are older than all that are kept, with their runs, and older runs of imports; or only tell them."""
    home = dagster_home(project)
    with open_instance(home) as instance, storage_errors(home):
        dead = [*_clean_dead_runs(instance, dry_run=dry_run)]
        syncs = [
            litter for spec in project.activations.values() for litter in _clean_activation(instance, home, project, spec, dry_run=dry_run)
        ]
        imports = [litter for feed in project.feeds.values() for litter in _clean_imports(instance, home, feed, dry_run=dry_run)]
        return (*dead, *syncs, *imports, *clean_removed(instance, project, dry_run=dry_run))


def _clean_dead_runs(instance: DagsterInstance, *, dry_run: bool) -> Iterator[Litter]:
    for run in dead_runs(instance) if dry_run else end_dead_runs(instance):
        yield Litter("run", f"{run.job_name}: {run.run_id}", "its process was killed, and Dagster took it for running: it is ended")
    if not dry_run:
        forget_ended(instance)


def _clean_imports(instance: DagsterInstance, home: Path, feed: FeedSpec, *, dry_run: bool) -> Iterator[Litter]:
    runs = [run.dagster_run for run in instance.get_run_records(RunsFilter(job_name=import_job_name(feed.name)))]
    old = [run for run in runs[KEPT_IMPORTS:] if run.is_finished]
    if not old:
        return
    files: set[str] = set()
    for run in old:
        told = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=_TELLING)]
        files |= {event.partition for event in told if event is not None and event.partition is not None}
        if not dry_run:
            delete_run(instance, home, run.run_id)
    for file in files if not dry_run else ():
        instance.delete_dynamic_partition(files_name(feed.name), file)
    what = f"{len(old)} run{'' if len(old) == 1 else 's'}, {len(files)} file{'' if len(files) == 1 else 's'}"
    yield Litter("imports", f"{feed.name}: {what}", f"beyond the newest {KEPT_IMPORTS} runs of the feed's import")


def _clean_activation(instance: DagsterInstance, home: Path, project: Project, spec: ActivationSpec, *, dry_run: bool) -> Iterator[Litter]:
    try:
        state = SyncService(project, spec).state()
    except StateError:
        # Whoever cleans its snapshots has said so.
        return
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
                delete_run(instance, home, run.dagster_run.run_id)
            instance.delete_dynamic_partition(partitions_name(spec.name), label)
        noun = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
        yield Litter("partition", f"{spec.name}: {label}, with {noun}", f"beyond the {spec.keep_syncs} deliveries of keep_syncs")


def delete_run(instance: DagsterInstance, home: Path, run_id: str) -> None:
    """Delete a run, with its database and what its steps printed where Dagster keeps these in its home."""
    instance.delete_run(run_id)
    # Where Dagster keeps its runs in its home, each has a database and logs of its own, which it empties at most.
    for path in (home / "history" / "runs").glob(f"{run_id}.db*"):
        path.unlink(missing_ok=True)
    shutil.rmtree(home / "storage" / run_id, ignore_errors=True)


def _is_older(label: str, state: State, runs: Sequence[RunRecord], oldest: datetime) -> bool:
    """Return whether everything of this partition ended before the oldest sync that is kept.

    One that nothing is known of may just begin.
    """
    instant = instant_of_label(label)
    moments = [
        *([instant] if instant is not None else ()),
        *(sync.started_at for sync in state.with_label(label)),
        *(run.create_timestamp for run in runs),
    ]
    return bool(moments) and max(moments) < oldest and all(run.dagster_run.is_finished for run in runs)
