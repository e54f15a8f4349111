"""An activation: a snapshot and a delivery, one partition a sync; the job that runs them; its schedule."""

# Dagster reads the annotations of asset functions as objects, so this module's are no postponed texts.
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetIn,
    AssetMaterialization,
    AssetsDefinition,
    AssetSelection,
    Config,
    DefaultScheduleStatus,
    Definitions,
    DynamicPartitionsDefinition,
    HookDefinition,
    Output,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    asset,
    define_asset_job,
    in_process_executor,
    schedule,
)
from pydantic import BaseModel, Field

from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.components.checks import check_specs, guards_blocked, guards_passed, warnings_of
from dinmo_pipeline.components.naming import code_reference, delivery_key, job_name, partitions_name, snapshot_key, table_key
from dinmo_pipeline.components.telling import telling_hooks
from dinmo_pipeline.components.wording import describe_delivery, describe_job, describe_snapshot
from dinmo_pipeline.errors import CallError, SyncBlocked
from dinmo_pipeline.io_managers.destinations import DestinationIOManager
from dinmo_pipeline.io_managers.failures import failing, failure_of
from dinmo_pipeline.io_managers.metadata import delivery_metadata
from dinmo_pipeline.io_managers.requests import DeliveryRequest, SnapshotRequest
from dinmo_pipeline.io_managers.snapshots import SnapshotIOManager
from dinmo_pipeline.project.fields import ActivationFields
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.specs import ActivationSpec, Project, RunType
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.patience import reason_to_wait
from dinmo_pipeline.sync.redirect import redirect_target
from dinmo_pipeline.sync.standing import StandingFile
from dinmo_pipeline.sync.syncs import Outgoing, Syncs
from dinmo_pipeline.sync.telling import Teller

AUTOSTART = "DINMO_AUTOSTART"
APPROVE = "dinmo/approve"
"""The tag of a run that delivers the very rows of its partition although a guard holds them."""


class SyncConfig(Config):
    """Options of one sync."""

    full_resync: bool = Field(default=False, description="Send every row, and make this the base; an interrupted sync is closed by it.")


class Activation(NamedComponent):
    """One delivery, repeated."""

    fields_model: ClassVar[type[BaseModel]] = ActivationFields

    def build(self, loaded: LoadedProject) -> Definitions:
        """The assets, the job, and a schedule where there is one."""
        project, spec = loaded.project, loaded.project.activations[self.name]
        partitions = DynamicPartitionsDefinition(name=partitions_name(spec.name))
        deltas = spec.run_type == RunType.FULL_THEN_DELTA
        hooks = telling_hooks(project, spec)
        assets = [_snapshot_asset(loaded, spec, partitions, hooks)] if deltas else []
        assets.append(_delivery_asset(loaded, spec, partitions, hooks, from_snapshot=deltas))
        keys = [*(table_key(table.ref) for table in project.tables_for(spec.source)), *(key for each in assets for key in each.keys)]
        job = define_asset_job(
            job_name(spec.name),
            selection=AssetSelection.assets(*keys),
            description=describe_job(spec),
            executor_def=in_process_executor,
            # A table that cannot be refreshed fails the sync, too.
            hooks={hooks[0]},
        )
        return Definitions(assets=assets, jobs=[job], schedules=[_schedule(project, spec)] if spec.schedules else [])


def _snapshot_asset(
    loaded: LoadedProject, spec: ActivationSpec, partitions: DynamicPartitionsDefinition, hooks: Sequence[HookDefinition]
) -> AssetsDefinition:
    project = loaded.project

    @asset(
        key=snapshot_key(spec.name),
        deps=[table_key(spec.source)],
        partitions_def=partitions,
        io_manager_def=SnapshotIOManager(project),
        output_required=False,
        description=describe_snapshot(spec),
        group_name="activations",
        kinds={"parquet"},
        owners=list(spec.owners),
        metadata=code_reference(loaded, f"activations.{spec.name}"),
        hooks=set(hooks),
    )
    def snapshot(context: AssetExecutionContext, config: SyncConfig) -> Iterator[Output[SnapshotRequest]]:
        _look(context, project, spec)
        if not _completed_instead(context, project, spec, full=config.full_resync):
            yield Output(SnapshotRequest(spec.name, context.partition_key, datetime.now(UTC), config.full_resync))

    return snapshot


def _delivery_asset(
    loaded: LoadedProject,
    spec: ActivationSpec,
    partitions: DynamicPartitionsDefinition,
    hooks: Sequence[HookDefinition],
    *,
    from_snapshot: bool,
) -> AssetsDefinition:
    @asset(
        key=delivery_key(spec.name),
        ins={"snapshot": AssetIn(key=snapshot_key(spec.name), dagster_type=object)} if from_snapshot else {},
        deps=[] if from_snapshot else [table_key(spec.source)],
        partitions_def=partitions,
        io_manager_def=DestinationIOManager(loaded.project),
        description=describe_delivery(spec),
        group_name="activations",
        kinds={spec.format.type, "file"},
        owners=list(spec.owners),
        tags=dict(spec.tags or {}),
        check_specs=check_specs(spec),
        hooks=set(hooks),
        metadata={
            "destination": spec.destination,
            "folder": spec.folder,
            "file name": spec.file_name,
            "run type": spec.run_type.value,
            "sync mode": spec.sync_mode.value,
            **code_reference(loaded, f"activations.{spec.name}"),
        },
    )
    def delivery(context: AssetExecutionContext, **snapshot: object) -> Iterator[Output[DeliveryRequest] | AssetCheckResult]:
        if not from_snapshot:
            _look(context, loaded.project, spec)
        with ExitStack() as opened:
            outgoing = _judged(context, loaded.project, spec, opened)
            if isinstance(outgoing, SyncBlocked):
                waiting = Syncs(loaded.project, spec).state().waiting
                yield guards_blocked(waiting.findings if waiting is not None else ())
                raise failure_of(outgoing) from outgoing
            yield guards_passed(outgoing.findings)
            # The IO manager delivers while this waits; it comes back only if that went well.
            yield Output(DeliveryRequest(outgoing, opened.close))
        if spec.warn_if:
            newest = Syncs(loaded.project, spec).state().newest
            yield warnings_of(newest.warnings if newest is not None else ())

    return delivery


@failing
def _look(context: AssetExecutionContext, project: Project, spec: ActivationSpec) -> None:
    """Before an attempt begins: whether an earlier one was cut off, and whether people still have to be told of something."""
    for line in Teller(project, spec).look(patience=timedelta()):
        context.log.warning(line)


@failing
def _judged(context: AssetExecutionContext, project: Project, spec: ActivationSpec, opened: ExitStack) -> Outgoing | SyncBlocked:
    """The sync of the run's partition, ready to be delivered until `opened` closes, or what holds it."""
    syncs, label, approval = Syncs(project, spec), context.partition_key, context.run.tags.get(APPROVE)
    if approval not in (None, "true"):
        raise CallError(f"delivering {spec.name}: the run has the tag {APPROVE}: {approval!r}; write true, or leave it out")
    if approval is not None:
        syncs.approve(label)
    try:
        return opened.enter_context(syncs.outgoing(label, now=datetime.now(UTC), target=redirect_target(project, spec)))
    except SyncBlocked as blocked:
        return blocked


@failing
def _completed_instead(context: AssetExecutionContext, project: Project, spec: ActivationSpec, *, full: bool) -> bool:
    """Complete what an earlier sync left half delivered; whether the run ends there, because its files wait to be read."""
    if redirect_target(project, spec) is not None:
        return False
    completed = Syncs(project, spec).roll_forward(full=full)
    if completed is None:
        return False
    delivery = completed.delivery
    context.log.info(f"sync {delivery.export.number} was left half delivered; it is complete now")
    metadata = delivery_metadata(delivery)
    context.log_event(AssetMaterialization(delivery_key(spec.name), partition=delivery.label, metadata=metadata))
    if completed.ends_run:
        context.log.warning(
            f"the files of sync {delivery.export.number} have fixed names and were not read yet, so this run ends here; "
            "start it again for what has changed since"
        )
    return completed.ends_run


def _schedule(project: Project, spec: ActivationSpec) -> ScheduleDefinition:
    running = os.environ.get(AUTOSTART) == "1"

    @schedule(
        name=f"{spec.name}_schedule",
        job_name=job_name(spec.name),
        cron_schedule=list(spec.schedules),
        execution_timezone=spec.timezone,
        default_status=DefaultScheduleStatus.RUNNING if running else DefaultScheduleStatus.STOPPED,
    )
    def due(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        standing = StandingFile(project.home / "state", spec.name).read()
        if (reason := reason_to_wait(project, spec, standing, now=max(context.scheduled_execution_time, datetime.now(UTC)))) is not None:
            return SkipReason(reason)
        label = label_of_instant(context.scheduled_execution_time)
        context.instance.add_dynamic_partitions(partitions_name(spec.name), [label])
        return RunRequest(run_key=label, partition_key=label)

    return due
