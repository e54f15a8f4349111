"""The facts that an activation's log states. Each happened; none is ever changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dinmo_pipeline.delta.export import Export, KeptPlace, Snapshot
from dinmo_pipeline.delta.findings import Finding


@dataclass(frozen=True)
class Started:
    """Sync `number` has its number. `label` is its partition; `full`: every row was asked for; `redirected`: its files go elsewhere."""

    number: int
    label: str
    instant: datetime
    full: bool = False
    redirected: bool = False
    type: Literal["started"] = "started"


@dataclass(frozen=True)
class SnapshotTaken:
    """The rows of sync `number` are kept. `base` is the sync that was the base then."""

    number: int
    snapshot: Snapshot
    base: int | None
    type: Literal["snapshot"] = "snapshot"


@dataclass(frozen=True)
class Blocked:
    """Sync `number` waits for approval, and why."""

    number: int
    findings: tuple[Finding, ...]
    type: Literal["blocked"] = "blocked"


@dataclass(frozen=True)
class Approved:
    """Somebody let this very sync pass: `by` whom, unless an older version wrote it."""

    number: int
    by: str | None = None
    type: Literal["approved"] = "approved"


@dataclass(frozen=True)
class Announced:
    """Files of sync `number` may lie at this place under these temporary names from here on, while the rest is rendered."""

    number: int
    place: KeptPlace
    temporary_paths: tuple[str, ...]
    type: Literal["announced"] = "announced"


@dataclass(frozen=True)
class Prepared:
    """The files of sync `number` are rendered; all their temporary names may exist at the destination from here on."""

    number: int
    export: Export
    type: Literal["prepared"] = "prepared"


@dataclass(frozen=True)
class Intent:
    """From here on a consumer may see files of sync `number`."""

    number: int
    type: Literal["intent"] = "intent"


@dataclass(frozen=True)
class Delivered:
    """All files of sync `number` are in place, after `seconds` of work. `notes` did no harm, `warnings` are limits that it broke."""

    number: int
    seconds: float
    rolled_forward: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()
    type: Literal["delivered"] = "delivered"


@dataclass(frozen=True)
class Redelivering:
    """From here on these delivered syncs are delivered once more, in this order; only all of them leave the consumer right."""

    numbers: tuple[int, ...]
    type: Literal["redelivering"] = "redelivering"


@dataclass(frozen=True)
class Redelivered:
    """All files of sync `number` are in place once more."""

    number: int
    seconds: float
    notes: tuple[str, ...] = ()
    type: Literal["redelivered"] = "redelivered"


@dataclass(frozen=True)
class Baselined:
    """The rows of this snapshot count as delivered, though this product did not deliver them; `by` is who says so."""

    number: int
    label: str
    instant: datetime
    snapshot: Snapshot
    by: str | None = None
    type: Literal["baseline"] = "baseline"


@dataclass(frozen=True)
class Renamed:
    """The history of a renamed activation goes on from the first `entries` entries of `name`."""

    name: str
    entries: int
    type: Literal["renamed"] = "renamed"


@dataclass(frozen=True)
class HandedOver:
    """The activation is called `name` now and goes on there: whatever comes after in this log has no past."""

    name: str
    type: Literal["handed over"] = "handed over"


@dataclass(frozen=True)
class Restored:
    """What was here is older than what consumers were given, up to sync `number` perhaps, so the next sync sends every row."""

    number: int
    type: Literal["restored"] = "restored"


@dataclass(frozen=True)
class Rewritten:
    """Records were taken out of what is kept: each of `snapshots` stands for the one at its path, and has the others of its rows.

    With `base` the rows that the newest sync delivered, number `number`, are those when the next sync is compared with them. `by` is who
    did it; whose records they were is told nowhere.
    """

    snapshots: Mapping[str, Snapshot]
    number: int | None = None
    base: Snapshot | None = None
    by: str | None = None
    type: Literal["rewritten"] = "rewritten"


Fact = (
    Started
    | SnapshotTaken
    | Blocked
    | Approved
    | Announced
    | Prepared
    | Intent
    | Delivered
    | Redelivering
    | Redelivered
    | Baselined
    | Renamed
    | HandedOver
    | Restored
    | Rewritten
)


def numbers_of(fact: Fact) -> tuple[int, ...]:
    """Return the syncs that a fact tells of."""
    match fact:
        case Redelivering(numbers):
            return numbers
        case Renamed() | HandedOver() | Rewritten():
            return ()
        case _:
            return (fact.number,)
