"""What assets hand to their IO managers: descriptions, never rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dinmo_pipeline.project.specs import TableSpec


@dataclass(frozen=True)
class TableRequest:
    """Make the table of `spec`; with `reuse`, only where it is older than its `max_age`."""

    spec: TableSpec
    reuse: bool


@dataclass(frozen=True)
class SnapshotRequest:
    """Keep the rows of `activation` for the sync with this label; `at` is its instant where the label has none."""

    activation: str
    label: str
    at: datetime
    full: bool


@dataclass(frozen=True)
class DeliveryRequest:
    """Deliver the sync with this label; `at` is its instant where neither its snapshot nor the label has one."""

    activation: str
    label: str
    at: datetime
