"""How a run went, without Dagster's types: showing it must not cost the import of Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """What was recorded of a delivery, or what went wrong in words. Neither: it ended before, as `notes` say."""

    activation: str
    delivered: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    notes: tuple[str, ...] = ()
