"""How tests with random cases run.

`DINMO_TEST_CASES=30` tries thirty times as many as usual, `DINMO_TEST_SHRINK=1` makes a failing case small, which takes minutes.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

CASES = float(os.environ.get("DINMO_TEST_CASES", "1"))
_SHRINKS = "DINMO_TEST_SHRINK" in os.environ

# The usual run is the same each time; a longer one looks where nobody has looked. Some cases take a second, and the machine may be busy.
settings.register_profile(
    "here",
    derandomize=CASES <= 1,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[phase for phase in Phase if _SHRINKS or phase != Phase.shrink],
    report_multiple_bugs=False,
)
settings.load_profile("here")
