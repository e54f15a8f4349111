"""An export as a value: every put, move and delete of one sync, frozen. What is retried, rolled forward or shown is this value."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.findings import Finding
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.formats.base import Format
from dinmo_pipeline.project.specs import SyncMode
from dinmo_pipeline.storages import STORAGES
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.publish import Parcel


class Change(StrEnum):
    """What a file holds: rows of a kind, or what is told about them."""

    ALL = "all"
    ADDED = "added"
    CHANGED = "changed"
    UPDATED = "updated"
    REMOVED = "removed"
    SCHEMA = "schema"
    MANIFEST = "manifest"
    DONE = "done"


# One file for each of these; the suffix of its name, where it has one, is the change itself.
FILES_OF_MODE: Mapping[SyncMode, tuple[Change, ...]] = {
    SyncMode.SNAPSHOT: (Change.ALL,),
    SyncMode.UPSERT: (Change.CHANGED,),
    SyncMode.INSERT: (Change.ADDED,),
    SyncMode.DIFFERENCE: (Change.ADDED, Change.UPDATED, Change.REMOVED),
}


@dataclass(frozen=True)
class Snapshot:
    """The rows of one moment under one contract, in a Parquet file below the state's folder; `rows` counts those in the source.

    Insert's snapshots also carry the keys that were sent and have left the source. With `whole`, the file is a patch: it holds what
    makes the rows of that snapshot these, and which of it changed since the one whose path is `since`. `loaded_at` is when the
    newest row came into the model, where a limit asks for it.
    """

    path: str
    sha256: str
    rows: int
    contract: Contract
    whole: Snapshot | None = None
    since: str | None = None
    loaded_at: datetime | None = None

    @property
    def files(self) -> tuple[Snapshot, ...]:
        """The snapshots whose files hold its rows."""
        return (self,) if self.whole is None else (self, self.whole)

    def rewritten(self, snapshots: Mapping[str, Snapshot]) -> Snapshot:
        """Return what stands for it since records were taken out of snapshots: these, by the paths of those that they stand for."""
        if self.path in snapshots:
            return snapshots[self.path]
        return self if self.whole is None else replace(self, whole=self.whole.rewritten(snapshots))


@dataclass(frozen=True)
class Comparison:
    """Which rows are sent. `current` is None for the warehouse table itself; `since` is None when every row is sent.

    `gone_since`: a row of any of these that is not in `current` is removed.
    """

    contract: Contract
    current: Snapshot | None
    since: Snapshot | None
    gone_since: tuple[Snapshot, ...] = ()

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """All that it reads, each once."""
        found = (self.current, self.since, *self.gone_since)
        return tuple({snapshot.path: snapshot for snapshot in found if snapshot is not None}.values())

    @property
    def files(self) -> tuple[Snapshot, ...]:
        """The snapshots whose files it reads, each once."""
        return tuple({file.path: file for snapshot in self.snapshots for file in snapshot.files}.values())

    def rewritten(self, snapshots: Mapping[str, Snapshot]) -> Comparison:
        """Return the same comparison since records were taken out of snapshots."""
        current, since = (each.rewritten(snapshots) if each is not None else None for each in (self.current, self.since))
        return replace(self, current=current, since=since, gone_since=tuple(each.rewritten(snapshots) for each in self.gone_since))


@dataclass(frozen=True)
class Counts:
    """Rows of the source, and how many of them changed how; None where the mode does not tell them apart."""

    rows: int
    added: int | None = None
    updated: int | None = None
    removed: int | None = None


@dataclass(frozen=True)
class PlannedFile:
    """One file: `rows` rows of `change` from offset `first`, sent to the temporary path and then shown under its own.

    `series` is the path without a part number: parts of one series replace one another. `replaced_characters` counts those that
    the format forbids.
    """

    change: Change
    first: int
    rows: int
    bytes: int
    sha256: str
    temporary_path: str
    path: str
    series: str
    replaced_characters: int = 0

    @property
    def parcel(self) -> Parcel:
        """What a publisher needs to know of it."""
        return Parcel(self.temporary_path, self.path, self.bytes, self.sha256)


@dataclass(frozen=True)
class Place:
    """A storage as an entry tells of it, by name and address: how it is reached stands in today's definitions alone."""

    name: str
    address: str

    @classmethod
    def of(cls, spec: StorageSpec) -> Place:
        """Return the place that `spec` defines."""
        return cls(spec.name, spec.address)

    def storage(self, current: Mapping[str, StorageSpec]) -> StorageSpec | None:
        """Return the storage of this name as it is defined now; None where there is none, or where its address is another one."""
        now = current.get(self.name)
        return now if now is not None and now.address == self.address else None

    def __str__(self) -> str:
        return f"storage {self.name} ({self.address or 'an address that nobody can tell any more'})"


def _read_place(kept: Any) -> Any:
    """Return what an entry says of a place: earlier versions kept the whole definition, of which the name and the address count."""
    if not isinstance(kept, dict) or "fields" not in kept:
        return kept
    try:
        return Place.of(STORAGES[kept["type"]].model_validate(kept["fields"]))
    except (KeyError, ValidationError):
        # Defined in a way that is none any more: no storage of today has that address.
        fields = kept["fields"]
        return {"name": fields.get("name") if isinstance(fields, dict) else None, "address": ""}


KeptPlace = Annotated[Place, BeforeValidator(_read_place)]
"""A place as entries hold it."""


@dataclass(frozen=True)
class Export:
    """Everything that one sync writes. `base` is the number of the sync that it was compared with; `reason` says why it is full.

    `base_delivered`: that one's files were sent to where these go; a baseline's never were, and none to where a delivery does not count.
    `warnings` are what a guard told of it and let pass.
    """

    number: int
    instant: datetime
    timezone: str
    comparison: Comparison
    removed_key_only: bool
    base: int | None
    reason: str
    counts: Counts
    place: KeptPlace
    folder: str
    format_options: Mapping[str, Any]
    puts: tuple[PlannedFile, ...]
    stale: tuple[str, ...] = ()
    create_folder: bool = True
    warnings: tuple[Finding, ...] = ()
    base_delivered: bool = True

    @property
    def received_base(self) -> int | None:
        """The sync that its reader has to have applied before; None where nobody sent one."""
        return self.base if self.base_delivered else None

    @property
    def base_text(self) -> str:
        """The sync that it was compared with, for people."""
        if self.base is None:
            return "none"
        return f"sync {self.base}" + ("" if self.base_delivered else ", of which nothing was sent there")

    @property
    def contract(self) -> Contract:
        """The promise that it keeps."""
        return self.comparison.contract

    @property
    def format(self) -> Format:
        """The format of its files."""
        return FORMATS[self.format_options["type"]].model_validate(dict(self.format_options))

    @property
    def temporary_paths(self) -> tuple[str, ...]:
        """The names that its files have before they are shown."""
        return tuple(put.temporary_path for put in self.puts)

    @property
    def signals(self) -> tuple[str, ...]:
        """Paths that tell a reader to begin: what lies there goes before anything else is shown."""
        return tuple(put.path for put in self.puts if put.change == Change.DONE)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its files should know."""
        return tuple(
            f"{put.path}: {put.replaced_characters:,} characters that {self.format.type} cannot hold were replaced by U+FFFD"
            for put in self.puts
            if put.replaced_characters
        )

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(put.bytes for put in self.puts)

    @property
    def rows_sent(self) -> int:
        """The rows of all files together."""
        return sum(put.rows for put in self.puts)


def joined(folder: str, name: str) -> str:
    """Return the path of `name` in `folder`, without the `./` of the storage's own start."""
    return posixpath.normpath(posixpath.join(folder, name))
