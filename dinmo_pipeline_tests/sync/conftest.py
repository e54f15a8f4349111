"""How many random cases: `DINMO_TEST_CASES=30` makes thirty times as many as usual."""

from __future__ import annotations

import os

from dinmo_pipeline_tests.servers.cloud_fixtures import azurite_server, gcs_server, s3_server
from dinmo_pipeline_tests.servers.patience import short_pauses
from dinmo_pipeline_tests.sync.remote_states import state
from dinmo_pipeline_tests.sync.simulation import in_memory

__all__ = ["azurite_server", "gcs_server", "in_memory", "s3_server", "short_pauses", "state"]

CASES = float(os.environ.get("DINMO_TEST_CASES", "1"))
SHRINK = "DINMO_TEST_SHRINK" in os.environ
