"""The entries of an activation's log as they are stored, and their JSON: facts, and now and then what all facts so far add up to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dinmo_pipeline.errors import StateError
from dinmo_pipeline.sync.ledger.events import Fact
from dinmo_pipeline.sync.ledger.state import State

VERSION: Literal[1] = 1


@dataclass(frozen=True)
class Checkpoint:
    """What all entries before this one say, as far as a sync can need it: whoever starts here needs none of them."""

    state: State
    type: Literal["checkpoint"] = "checkpoint"


Entry = Fact | Checkpoint


class Record(BaseModel):
    """An entry as it is stored: the version of its form, when it was written, what happened. `signing` adds the last two."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = VERSION
    at: datetime
    entry: Annotated[Entry, Field(discriminator="type")]
    previous: str | None = None
    mac: str | None = None


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def to_json(record: Record) -> bytes:
    """Return the bytes that the log keeps."""
    return _adapter().dump_json(record, indent=1, exclude={"previous", "mac"})


def from_json(text: bytes, *, where: str) -> Record:
    """Return the entry in `text`; StateError when it is not one, with the place it was read from."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise StateError(
            f"reading the log entry {where}: {place}: {first['msg']}. It was cut off, edited, or written by another version; restore it "
            "from a backup, or move the activation's folder away and start again with `dinmo sync --full`"
        ) from error
