"""What tests of erasing share: servers, and state that lies on them."""

from __future__ import annotations

from dinmo_pipeline_tests.cli.conftest import dinmo
from dinmo_pipeline_tests.servers.cloud_fixtures import azurite_server, gcs_server, s3_server
from dinmo_pipeline_tests.sync.remote_states import state

__all__ = ["azurite_server", "dinmo", "gcs_server", "s3_server", "state"]
