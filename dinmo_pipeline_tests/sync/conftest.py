"""How many random cases: `DINMO_TEST_CASES=30` makes thirty times as many as usual."""

from __future__ import annotations

import os

from dinmo_pipeline_tests.sync.simulation import in_memory

__all__ = ["in_memory"]

CASES = float(os.environ.get("DINMO_TEST_CASES", "1"))
SHRINK = "DINMO_TEST_SHRINK" in os.environ
