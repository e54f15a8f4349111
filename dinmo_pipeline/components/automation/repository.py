"""A project as Dagster loads it: each job is made from its own assets when it is asked for, so that a run makes one and not all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from itertools import groupby
from operator import attrgetter

from dagster import (
    AssetCheckKey,
    AssetChecksDefinition,
    AssetKey,
    AssetsDefinition,
    Definitions,
    JobDefinition,
    RepositoryData,
    RepositoryDefinition,
    ResourceDefinition,
    ScheduleDefinition,
    SensorDefinition,
    SourceAsset,
)

from dinmo_pipeline.components.activation import Activation
from dinmo_pipeline.components.asset_keys import job_name
from dinmo_pipeline.components.automation.jobs import activation_job
from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.components.inbox import Feed, Inbox
from dinmo_pipeline.components.tables import Model, Segment
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.project.table_refs import TableRef

# The name that Dagster gives to the one repository of definitions; schedules that were started are remembered under it.
_NAME = "__repository__"
_TABLES = {"models": Model, "segments": Segment}


def project_definitions(loaded: LoadedProject) -> Definitions:
    """Return the Dagster objects of a whole project, without Dagster's own reading of its files: the same as that one finds."""
    return _Parts(loaded).merged(_components(loaded.project))


def project_repository(loaded: LoadedProject) -> RepositoryDefinition:
    """Return the same, made as far as it is asked for."""
    return RepositoryDefinition(_NAME, repository_data=_ProjectData(loaded))


class _ProjectData(RepositoryData):
    def __init__(self, loaded: LoadedProject) -> None:
        self._project = loaded.project
        self._parts = _Parts(loaded)
        self._activations = {job_name(name): spec for name, spec in loaded.project.activations.items()}
        self._jobs: dict[str, JobDefinition] = {}

    @cached_property
    def _whole(self) -> Definitions:
        return self._parts.merged(_components(self._project))

    @cached_property
    def _rest(self) -> RepositoryDefinition:
        """All but the activations' jobs and schedules: resolving a job in the graph of all assets costs as much as there are assets."""
        whole = self._whole
        jobs = [job for job in whole.jobs or () if job.name not in self._activations]
        return Definitions(assets=whole.assets, asset_checks=whole.asset_checks, jobs=jobs, sensors=whole.sensors).get_repository_def()

    def get_job(self, job_name: str) -> JobDefinition:
        if job_name not in self._activations:
            return self._rest.get_job(job_name)
        if job_name not in self._jobs:
            spec = self._activations[job_name]
            self._make_jobs(spec.source, [spec])
        return self._jobs[job_name]

    def _make_jobs(self, source: TableRef, specs: Sequence[ActivationSpec]) -> None:
        needed = [*(_table(table.ref) for table in self._project.tables_for(source)), *(Activation(spec.name) for spec in specs)]
        made = self._parts.merged(needed)
        jobs = [activation_job(self._project, spec) for spec in specs]
        # Without the sensors, which may start jobs of activations that are not made here.
        alone = Definitions(assets=made.assets, asset_checks=made.asset_checks, jobs=jobs).get_repository_def()
        self._jobs.update({job.name: alone.get_job(job.name) for job in jobs})

    def get_job_names(self) -> Sequence[str]:
        return [*dict.fromkeys((*self._activations, *self._rest.job_names))]

    def has_job(self, job_name: str) -> bool:
        return job_name in self._activations or self._rest.has_job(job_name)

    def get_all_jobs(self) -> Sequence[JobDefinition]:
        # Those of one table together: what they share is resolved once.
        source_of = attrgetter("source")
        missing = sorted((spec for name, spec in self._activations.items() if name not in self._jobs), key=source_of)
        for source, specs in groupby(missing, key=source_of):
            self._make_jobs(source, list(specs))
        return [self.get_job(name) for name in self.get_job_names()]

    def get_all_schedules(self) -> Sequence[ScheduleDefinition]:
        return [schedule for schedule in self._whole.schedules or () if isinstance(schedule, ScheduleDefinition)]

    def get_all_sensors(self) -> Sequence[SensorDefinition]:
        return self._rest.sensor_defs

    def get_assets_defs_by_key(self) -> Mapping[AssetKey, AssetsDefinition]:
        return self._rest.assets_defs_by_key

    def get_source_assets_by_key(self) -> Mapping[AssetKey, SourceAsset]:
        return self._rest.source_assets_by_key

    def get_asset_checks_defs_by_key(self) -> Mapping[AssetCheckKey, AssetChecksDefinition]:
        return self._rest.asset_checks_defs_by_key

    def get_top_level_resources(self) -> Mapping[str, ResourceDefinition]:
        return self._rest.get_top_level_resources()

    def get_env_vars_by_top_level_resource(self) -> Mapping[str, AbstractSet[str]]:
        return {}


class _Parts:
    """The Dagster objects of each definition, made once."""

    def __init__(self, loaded: LoadedProject) -> None:
        self._loaded = loaded
        self._made: dict[tuple[type, str], Definitions] = {}

    def merged(self, components: Iterable[NamedComponent]) -> Definitions:
        """Return those of some definitions together."""
        return Definitions.merge(*map(self._definitions_of, components))

    def _definitions_of(self, component: NamedComponent) -> Definitions:
        key = type(component), component.name
        if key not in self._made:
            self._made[key] = component.definitions(self._loaded)
        return self._made[key]


def _components(project: Project) -> list[NamedComponent]:
    return [
        *map(Inbox, project.inboxes),
        *map(Feed, project.feeds),
        *map(_table, project.tables),
        *map(Activation, project.activations),
    ]


def _table(ref: TableRef) -> NamedComponent:
    return _TABLES[ref.kind](ref.name)
