"""How a run begins: as a fork of a process that has imported everything already."""

from __future__ import annotations

from dinmo_pipeline.launching.launcher import ForkingRunLauncher

__all__ = ["ForkingRunLauncher"]
