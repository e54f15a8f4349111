"""What assets hand to their IO managers: descriptions, never rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dinmo_pipeline.project.specs import TableSpec
from dinmo_pipeline.sync.service import Outgoing


@dataclass(frozen=True)
class TableRequest:
    """Make the table of `spec`; with `reuse`, only where it is older than its `max_age` and was not made since `due`."""

    spec: TableSpec
    reuse: bool
    due: datetime | None


@dataclass(frozen=True)
class SnapshotRequest:
    """Keep the rows of `activation` for the sync with this label; `at` is its instant where the label has none."""

    activation: str
    label: str
    at: datetime
    full: bool


@dataclass(frozen=True)
class DeliveryRequest:
    """Deliver what is rendered and let pass by the guards; `close` then gives its lock and its local files free."""

    outgoing: Outgoing
    close: Callable[[], None]
