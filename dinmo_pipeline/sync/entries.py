"""The entries of an activation's log, and their JSON. Each states one fact that happened; none is ever changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dinmo_pipeline.errors import StateError
from dinmo_pipeline.sync.export import Export, Snapshot
from dinmo_pipeline.sync.findings import Finding

VERSION: Literal[1] = 1


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
    """Somebody let this very sync pass."""

    number: int
    type: Literal["approved"] = "approved"


@dataclass(frozen=True)
class Prepared:
    """The files of sync `number` are rendered; their temporary names may exist at the destination from here on."""

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
    """The rows of this snapshot count as delivered, though this product did not deliver them."""

    number: int
    label: str
    instant: datetime
    snapshot: Snapshot
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


Entry = (
    Started
    | SnapshotTaken
    | Blocked
    | Approved
    | Prepared
    | Intent
    | Delivered
    | Redelivering
    | Redelivered
    | Baselined
    | Renamed
    | HandedOver
)


class Record(BaseModel):
    """An entry as it is stored: the version of its form, when it was written, what happened."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = VERSION
    at: datetime
    entry: Annotated[Entry, Field(discriminator="type")]


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def to_json(record: Record) -> bytes:
    """The bytes that the log keeps."""
    return _adapter().dump_json(record, indent=1)


def from_json(text: bytes, *, where: str) -> Record:
    """The entry in `text`; StateError when it is not one, with the place it was read from."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise StateError(
            f"reading the log entry {where}: {place}: {first['msg']}. It was cut off, edited, or written by another version; restore it "
            "from a backup, or move the activation's folder away and start again with `dinmo sync --full`"
        ) from error
