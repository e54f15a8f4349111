"""What tests of syncs share: servers, and state that lies on them or in memory."""

from __future__ import annotations

from dinmo_pipeline_tests.servers.cloud_fixtures import azurite_server, gcs_server, s3_server
from dinmo_pipeline_tests.servers.patience import short_pauses
from dinmo_pipeline_tests.sync.remote_states import state
from dinmo_pipeline_tests.sync.simulation import in_memory

__all__ = ["azurite_server", "gcs_server", "in_memory", "s3_server", "short_pauses", "state"]
