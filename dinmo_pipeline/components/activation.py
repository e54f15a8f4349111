"""An activation: a snapshot and a delivery, one partition a sync; the job that runs them; its schedule."""

# Dagster reads the annotations of asset functions as objects, so this module's are no postponed texts.
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetsDefinition,
    AssetSpec,
    Config,
    DagsterInstance,
    Definitions,
    DynamicPartitionsDefinition,
    HookDefinition,
    IntMetadataValue,
    Output,
)
from pydantic import BaseModel, Field

from dinmo_pipeline.activity import doing
from dinmo_pipeline.catalog.failures import failing, failure_of
from dinmo_pipeline.catalog.metadata import delivery_metadata, rehearsal_metadata
from dinmo_pipeline.components.asset_keys import code_reference, delivery_key, partitions_name, snapshot_key, table_key
from dinmo_pipeline.components.assets import make_asset, options_of
from dinmo_pipeline.components.automation.deadlines import deadlines_owner, deadlines_sensor
from dinmo_pipeline.components.automation.hooks import alert_hooks
from dinmo_pipeline.components.automation.jobs import activation_job
from dinmo_pipeline.components.automation.schedules import activation_schedule
from dinmo_pipeline.components.automation.sensors import after_sensor
from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.components.checks import check_specs, guards_blocked, guards_passed, warnings_of
from dinmo_pipeline.components.descriptions import describe_delivery, describe_snapshot
from dinmo_pipeline.errors import CallError, DinmoError, SyncBlocked
from dinmo_pipeline.io_managers.destinations import DestinationIOManager
from dinmo_pipeline.io_managers.requests import DeliveryRequest, SnapshotRequest
from dinmo_pipeline.io_managers.snapshots import SnapshotIOManager
from dinmo_pipeline.project.consumers.limits import format_text
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.schema.outbound import ActivationFields
from dinmo_pipeline.project.specs import ActivationSpec, Project, RunType
from dinmo_pipeline.sync.alerts.notifier import ActivationNotifier
from dinmo_pipeline.sync.deliver.redirect import redirect_target
from dinmo_pipeline.sync.prepare import Target
from dinmo_pipeline.sync.run_slot import acquire_run_slot, release_run_slot
from dinmo_pipeline.sync.service import Outgoing, Rehearsal, SyncService

APPROVE = "dinmo/approve"
"""The tag of a run that delivers the very rows of its partition although a guard holds them; its value is the name of the approver."""

# What is no person's name.
_YES_OR_NO = frozenset({"true", "false", "yes", "no", "y", "n", "1", "0", "on", "off"})


class RehearsalConfig(Config):
    """Options of a sync that does not count."""

    dry_run: bool = Field(default=False, description="Show what would be sent, and send nothing; no base is moved.")
    limit: int = Field(default=0, ge=0, description="Send so many rows a file at most, as NAME_trial, and move no base; 0 sends all.")

    @property
    def is_rehearsal(self) -> bool:
        """Whether nothing that happens counts."""
        return self.dry_run or self.limit > 0


class SyncConfig(RehearsalConfig):
    """Options of one sync."""

    full_resync: bool = Field(default=False, description="Send every row, and make this the base; an interrupted sync is closed by it.")


class Activation(NamedComponent):
    """One delivery, repeated."""

    fields_model: ClassVar[type[BaseModel]] = ActivationFields

    def build(self, loaded: LoadedProject) -> Definitions:
        """Return the assets, the job, and a schedule where there is one."""
        project, spec = loaded.project, loaded.project.activations[self.name]
        partitions = DynamicPartitionsDefinition(name=partitions_name(spec.name))
        deltas = spec.run_type == RunType.FULL_THEN_DELTA
        hooks = alert_hooks(project, spec)
        assets = [_snapshot_asset(loaded, spec, partitions, hooks)] if deltas else []
        assets.append(_delivery_asset(loaded, spec, partitions, hooks, from_snapshot=deltas))
        after_others = project.started_after_others
        return Definitions(
            assets=assets,
            # The sensor brings the jobs that it may start; Dagster takes each once.
            jobs=[] if spec.name in after_others else [activation_job(project, spec)],
            schedules=[activation_schedule(project, spec)] if spec.schedules and not spec.paused else [],
            sensors=[
                *([after_sensor(project)] if spec.name == min(after_others, default=None) else []),
                *([deadlines_sensor(project)] if deadlines_owner(project) == ("activation", spec.name) else []),
            ],
        )


def _snapshot_asset(
    loaded: LoadedProject, spec: ActivationSpec, partitions: DynamicPartitionsDefinition, hooks: Sequence[HookDefinition]
) -> AssetsDefinition:
    project = loaded.project

    def snapshot(context: AssetExecutionContext) -> Iterator[Output[SnapshotRequest]]:
        config = options_of(context, SyncConfig)
        if config.is_rehearsal:
            _rehearse(context, project, spec, config, full=config.full_resync)
            return
        _look(context, project, spec)
        _wait_for_turn(project, spec)
        if not _completed_instead(context, project, spec, full=config.full_resync):
            yield Output(SnapshotRequest(spec.name, context.partition_key, project.clock(), config.full_resync))

    return make_asset(
        AssetSpec(
            snapshot_key(spec.name),
            deps=[table_key(spec.source)],
            partitions_def=partitions,
            description=describe_snapshot(spec),
            group_name=spec.name,
            kinds={"parquet"},
            owners=spec.owners,
            metadata=code_reference(loaded, f"activations.{spec.name}"),
        ),
        snapshot,
        io_manager=SnapshotIOManager(project),
        config=SyncConfig,
        hooks=hooks,
        required=False,
    )


def _delivery_asset(
    loaded: LoadedProject,
    spec: ActivationSpec,
    partitions: DynamicPartitionsDefinition,
    hooks: Sequence[HookDefinition],
    *,
    from_snapshot: bool,
) -> AssetsDefinition:
    # Those that mean something here.
    options = Config if from_snapshot else RehearsalConfig

    def delivery(context: AssetExecutionContext) -> Iterator[Output[DeliveryRequest] | AssetCheckResult]:
        config = options_of(context, options)
        if isinstance(config, RehearsalConfig) and config.is_rehearsal:
            rehearsal = _rehearse(context, loaded.project, spec, config, full=False)
            yield guards_passed(rehearsal.measured, rehearsal.findings)
            if spec.warn_if:
                yield warnings_of(rehearsal.export.warnings)
            return
        if not from_snapshot:
            _look(context, loaded.project, spec)
        with ExitStack() as opened:
            _wait_for_turn(loaded.project, spec)
            opened.callback(release_run_slot, loaded.project, spec)
            outgoing = _judged(context, loaded.project, spec, opened)
            if isinstance(outgoing, SyncBlocked):
                waiting = SyncService(loaded.project, spec).state().waiting
                yield guards_blocked(waiting.findings if waiting is not None else ())
                raise failure_of(outgoing) from outgoing
            yield guards_passed(outgoing.measured, outgoing.findings)
            # The IO manager delivers while this waits; it comes back only if that went well.
            yield Output(DeliveryRequest(outgoing, opened.close))
        if spec.warn_if:
            newest = SyncService(loaded.project, spec).state().newest
            yield warnings_of(newest.warnings if newest is not None else ())

    return make_asset(
        AssetSpec(
            delivery_key(spec.name),
            deps=[snapshot_key(spec.name) if from_snapshot else table_key(spec.source)],
            partitions_def=partitions,
            description=describe_delivery(spec),
            group_name=spec.name,
            kinds={spec.format.type, "file"},
            owners=spec.owners,
            tags=spec.tags,
            metadata={
                "destination": spec.destination,
                "folder": spec.folder,
                "file name": spec.file_name,
                "format": format_text(spec.format),
                **({"consumer": spec.consumer} if spec.consumer is not None else {}),
                "run type": spec.run_type.value,
                "sync mode": spec.sync_mode.value,
                **code_reference(loaded, f"activations.{spec.name}"),
            },
        ),
        delivery,
        io_manager=DestinationIOManager(loaded.project),
        config=options,
        checks=check_specs(spec),
        hooks=hooks,
        required=False,
    )


@failing
def _look(context: AssetExecutionContext, project: Project, spec: ActivationSpec) -> None:
    """Look, before an attempt begins, whether an earlier one was cut off and whether people still have to be told of something."""
    for line in ActivationNotifier(project, spec).look(patience=timedelta()):
        context.log.warning(line)


@failing
def _rehearse(context: AssetExecutionContext, project: Project, spec: ActivationSpec, config: RehearsalConfig, *, full: bool) -> Rehearsal:
    """Return what `dinmo sync --dry-run` and `--limit` do, told as an observation of the delivery."""
    own = redirect_target(project, spec) or Target(project.storages[spec.destination])
    target = replace(own, recorded=False, limit=config.limit or None)
    rehearsal = SyncService(project, spec).rehearse(instant=project.clock(), target=target, send=not config.dry_run, full=full)
    metadata = rehearsal_metadata(rehearsal, sent_to=None if config.dry_run else target.storage.name, preview_rows=project.preview_rows)
    context.log_event(AssetObservation(delivery_key(spec.name), partition=context.partition_key, metadata=metadata))
    context.log.info("nothing was sent" if config.dry_run else f"a trial was sent to {target.storage.name}; no base was moved")
    return rehearsal


@failing
def _wait_for_turn(project: Project, spec: ActivationSpec) -> None:
    acquire_run_slot(project, spec)


@failing
def _judged(context: AssetExecutionContext, project: Project, spec: ActivationSpec, opened: ExitStack) -> Outgoing | SyncBlocked:
    """Return the sync of the run's partition, ready to be delivered until `opened` closes, or what holds it."""
    syncs, label, approval = SyncService(project, spec), context.partition_key, context.run.tags.get(APPROVE)
    if approval is not None:
        if approval.strip().lower() in {"", *_YES_OR_NO}:
            problem = f"the run has the tag {APPROVE}: {approval!r}"
            raise CallError(f"delivering {spec.name}: {problem}; write your name as its value, which the history keeps, or leave it out")
        syncs.approve(label, by=approval.strip())
    try:
        with doing("making the files"):
            return opened.enter_context(syncs.outgoing(label, now=project.clock(), target=redirect_target(project, spec)))
    except SyncBlocked as blocked:
        return blocked


def _newest_told(instance: DagsterInstance, key: AssetKey) -> int:
    """Return the number of the newest sync whose delivery Dagster was told of; 0 when there is none."""
    told = instance.get_latest_materialization_event(key)
    number = told.asset_materialization.metadata.get("sync") if told is not None and told.asset_materialization is not None else None
    return number.value if isinstance(number, IntMetadataValue) and number.value is not None else 0


@failing
def _completed_instead(context: AssetExecutionContext, project: Project, spec: ActivationSpec, *, full: bool) -> bool:
    """Complete what an earlier sync left half delivered; whether the run ends there, because its files wait to be read."""
    if redirect_target(project, spec) is not None:
        return False
    try:
        completed = SyncService(project, spec).roll_forward(full=full, seen=_newest_told(context.instance, delivery_key(spec.name)))
    except DinmoError:
        release_run_slot(project, spec)
        raise
    if completed is None:
        return False
    delivery = completed.delivery
    context.log.info(f"sync {delivery.export.number} was left half delivered; it is complete now")
    metadata = delivery_metadata(delivery, delivery_key(spec.name), preview_rows=project.preview_rows)
    context.log_event(AssetMaterialization(delivery_key(spec.name), partition=delivery.label, metadata=metadata))
    if completed.ends_run:
        release_run_slot(project, spec)
        context.log.warning(
            f"the files of sync {delivery.export.number} have fixed names and were not read yet, so this run ends here; "
            "start it again for what has changed since"
        )
    return completed.ends_run
