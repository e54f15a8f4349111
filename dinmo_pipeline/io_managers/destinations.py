"""Deliveries to their destination: the asset renders a sync and has it judged, this writes its files there and records it."""

from __future__ import annotations

from dagster import InputContext, IOManager, OutputContext

from dinmo_pipeline.activity import doing
from dinmo_pipeline.catalog.failures import failing
from dinmo_pipeline.catalog.metadata import delivery_metadata
from dinmo_pipeline.io_managers.requests import DeliveryRequest
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.ledger.state import SyncRecord
from dinmo_pipeline.sync.service import SyncService


class DestinationIOManager(IOManager):
    """Writes the files of a sync in the activation's format to its storage; loading gives what the log says of the sync."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @failing
    def handle_output(self, context: OutputContext, obj: DeliveryRequest) -> None:
        """Deliver; adds counts, files and the base to the materialization."""
        try:
            with doing("delivering"):
                delivery = obj.outgoing.deliver()
        finally:
            # Whoever made the request is not asked to go on after an error.
            obj.close()
        if not delivery.recorded:
            context.log.warning(f"DINMO_REDIRECT is set: the files went to {delivery.export.place.name}, and no base was moved")
        context.add_output_metadata(delivery_metadata(delivery, context.asset_key, preview_rows=self._project.preview_rows))

    def load_input(self, context: InputContext) -> SyncRecord | None:
        """Return the newest sync of the partition."""
        spec = self._project.activations[context.asset_key.path[1]]
        attempts = SyncService(self._project, spec).state().with_label(context.asset_partition_key)
        return attempts[-1] if attempts else None
