"""Snapshots into the state's folder: the asset says of which sync, this keeps the rows."""

from __future__ import annotations

from dagster import AssetKey, InputContext, IOManager, MetadataValue, OutputContext

from dinmo_pipeline.activity import doing
from dinmo_pipeline.catalog.columns import snapshot_columns_metadata
from dinmo_pipeline.catalog.failures import failing
from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.io_managers.requests import SnapshotRequest
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.deliver.redirect import redirect_target
from dinmo_pipeline.sync.ledger.state import SyncRecord
from dinmo_pipeline.sync.run_slot import release_run_slot
from dinmo_pipeline.sync.service import SyncService


class SnapshotIOManager(IOManager):
    """Stores a sync's rows as Parquet; loading gives what the log says of the sync."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @failing
    def handle_output(self, context: OutputContext, obj: SnapshotRequest) -> None:
        """Keep the rows under a number of their own: doing it again makes another snapshot, and changes nothing that was delivered."""
        spec = self._project.activations[obj.activation]
        redirected = redirect_target(self._project, spec) is not None
        syncs = SyncService(self._project, spec)
        try:
            with doing("keeping the rows to compare with"):
                sync = syncs.take_snapshot(obj.label, now=obj.at, full=obj.full, redirected=redirected)
        except DinmoError:
            release_run_slot(self._project, spec)
            raise
        assert sync.snapshot is not None, "a snapshot was just taken"
        context.add_output_metadata(
            {
                "dagster/row_count": sync.snapshot.rows,
                **snapshot_columns_metadata(sync.snapshot.contract, AssetKey([spec.source.kind, spec.source.name])),
                "rows": sync.snapshot.rows,
                "sync": sync.number,
                "base": syncs.base_text(sync),
                "instant": MetadataValue.timestamp(sync.instant),
                "file": MetadataValue.path(syncs.place(sync.snapshot)),
                "sha256": sync.snapshot.sha256,
            }
        )

    def load_input(self, context: InputContext) -> SyncRecord | None:
        """Return the newest sync of the partition, or None when there is none: the delivery says what to do then."""
        activation = context.asset_key.path[1]
        attempts = SyncService(self._project, self._project.activations[activation]).state().with_label(context.asset_partition_key)
        return attempts[-1] if attempts else None
