"""An activation: a snapshot and a delivery, one partition a sync; the job that runs them; its schedule."""

# Dagster reads the annotations of asset functions as objects, so this module's are no postponed texts.
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar

from dagster import (
    AssetExecutionContext,
    AssetIn,
    AssetMaterialization,
    AssetsDefinition,
    Config,
    Definitions,
    DynamicPartitionsDefinition,
    Output,
    asset,
)
from pydantic import BaseModel, Field

from dinmo_pipeline.components.base import NamedComponent
from dinmo_pipeline.components.jobs import activation_job
from dinmo_pipeline.components.naming import code_reference, delivery_key, partitions_name, snapshot_key, table_key
from dinmo_pipeline.components.schedules import activation_schedule
from dinmo_pipeline.components.sensors import after_sensor, started_after_others
from dinmo_pipeline.components.wording import describe_delivery, describe_snapshot
from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.io_managers.destinations import DestinationIOManager
from dinmo_pipeline.io_managers.failures import failing
from dinmo_pipeline.io_managers.metadata import delivery_metadata
from dinmo_pipeline.io_managers.requests import DeliveryRequest, SnapshotRequest
from dinmo_pipeline.io_managers.snapshots import SnapshotIOManager
from dinmo_pipeline.io_managers.turns import end_turn, take_turn
from dinmo_pipeline.project.fields import ActivationFields
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.specs import ActivationSpec, Project, RunType
from dinmo_pipeline.sync.redirect import redirect_target
from dinmo_pipeline.sync.syncs import Syncs


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
        assets = [_snapshot_asset(loaded, spec, partitions)] if deltas else []
        assets.append(_delivery_asset(loaded, spec, partitions, from_snapshot=deltas))
        after_others = started_after_others(project)
        return Definitions(
            assets=assets,
            # The sensor brings the jobs that it may start; Dagster takes each once.
            jobs=[] if spec.name in after_others else [activation_job(project, spec)],
            schedules=[activation_schedule(project, spec)] if spec.schedules and not spec.paused else [],
            sensors=[after_sensor(project)] if spec.name == min(after_others, default=None) else [],
        )


def _snapshot_asset(loaded: LoadedProject, spec: ActivationSpec, partitions: DynamicPartitionsDefinition) -> AssetsDefinition:
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
    )
    def snapshot(context: AssetExecutionContext, config: SyncConfig) -> Iterator[Output[SnapshotRequest]]:
        if not _completed_instead(context, project, spec, full=config.full_resync):
            yield Output(SnapshotRequest(spec.name, context.partition_key, datetime.now(UTC), config.full_resync))

    return snapshot


def _delivery_asset(
    loaded: LoadedProject, spec: ActivationSpec, partitions: DynamicPartitionsDefinition, *, from_snapshot: bool
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
        metadata={
            "destination": spec.destination,
            "folder": spec.folder,
            "file name": spec.file_name,
            "run type": spec.run_type.value,
            "sync mode": spec.sync_mode.value,
            **code_reference(loaded, f"activations.{spec.name}"),
        },
    )
    def delivery(context: AssetExecutionContext, **snapshot: object) -> DeliveryRequest:
        return DeliveryRequest(spec.name, context.partition_key, datetime.now(UTC))

    return delivery


@failing
def _completed_instead(context: AssetExecutionContext, project: Project, spec: ActivationSpec, *, full: bool) -> bool:
    """Complete what an earlier sync left half delivered; whether the run ends there, because its files wait to be read.

    The run's turn begins here.
    """
    take_turn(project, spec)
    if redirect_target(project, spec) is not None:
        return False
    try:
        completed = Syncs(project, spec).roll_forward(full=full)
    except DinmoError:
        end_turn(project, spec)
        raise
    if completed is None:
        return False
    delivery = completed.delivery
    context.log.info(f"sync {delivery.export.number} was left half delivered; it is complete now")
    metadata = delivery_metadata(delivery, delivery_key(spec.name))
    context.log_event(AssetMaterialization(delivery_key(spec.name), partition=delivery.label, metadata=metadata))
    if completed.ends_run:
        end_turn(project, spec)
        context.log.warning(
            f"the files of sync {delivery.export.number} have fixed names and were not read yet, so this run ends here; "
            "start it again for what has changed since"
        )
    return completed.ends_run
