"""Assets and partitions in Dagster's catalogue whose definition the project has no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dagster import AssetKey, DagsterInstance, DagsterRun

from dinmo_pipeline.catalog.import_events import files_name
from dinmo_pipeline.cli.dagster.running import LOCATION_TAG, location_name
from dinmo_pipeline.components.asset_keys import delivery_key, partitions_name, snapshot_key, table_key
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.retention import Litter

# The kinds of assets that we make, and how many parts their keys have.
_PARTS = {"models": 2, "segments": 2, "feeds": 2, "entities": 2, "activations": 3}
_OUR_JOBS = ("sync_", "import_")
_REPOSITORY_TAG = ".dagster/repository"


def clean_removed(instance: DagsterInstance, project: Project, *, dry_run: bool) -> Iterator[Litter]:
    """Wipe assets of our kinds that this project's runs made and that it defines no more, with their partitions.

    Tables, snapshots, logs and files stay: what is defined again later goes on from them.
    """
    gone = [key for key in instance.all_asset_keys() if _is_removed(instance, project, key)]
    for key in gone:
        if not dry_run:
            instance.wipe_assets([key])
        yield Litter("asset", key.to_user_string(), "the project defines it no more")
    for name in dict.fromkeys(name for key in gone if (name := _partitions_of(key)) is not None):
        labels = instance.get_dynamic_partitions(name)
        for label in labels if not dry_run else ():
            instance.delete_dynamic_partition(name, label)
        if labels:
            noun = "partition" if len(labels) == 1 else "partitions"
            yield Litter("partitions", f"{name}: {len(labels)} {noun}", "the project defines it no more")


def _is_removed(instance: DagsterInstance, project: Project, key: AssetKey) -> bool:
    if _PARTS.get(key.path[0]) != len(key.path) or key in _defined(project):
        return False
    told = instance.get_latest_materialization_event(key)
    made = told.asset_materialization if told is not None else None
    run = instance.get_run_by_id(told.run_id) if told is not None else None
    if run is None or made is None or not _is_of_project(run, instance, project):
        return False
    # Python assets of a project of `dg` may have such keys, too: theirs are told by other jobs, without our numbers.
    return run.job_name.startswith(_OUR_JOBS) or {"rows", "dagster/row_count"} <= made.metadata.keys()


def _is_of_project(run: DagsterRun, instance: DagsterInstance, project: Project) -> bool:
    """Return whether the run is of this project's code location; in the project's own home, one that does not say counts, too."""
    location = run.tags.get(LOCATION_TAG) or run.tags.get(_REPOSITORY_TAG, "").rpartition("@")[2]
    if not location:
        return Path(instance.root_directory).resolve() == (project.home / "dagster").resolve()
    return location == location_name(project.root)


def _defined(project: Project) -> set[AssetKey]:
    """Return the keys of all assets that the project has now."""
    return {
        *map(table_key, project.tables),
        *map(table_key, project.entities),
        *(AssetKey(["feeds", feed]) for feed in project.feeds),
        *(key for name in project.activations for key in (snapshot_key(name), delivery_key(name))),
    }


def _partitions_of(key: AssetKey) -> str | None:
    """Return the dynamic partitions that belong to the asset alone, or to both assets of an activation."""
    if key.path[0] == "activations":
        return partitions_name(key.path[1])
    return files_name(key.path[1]) if key.path[0] == "feeds" else None
