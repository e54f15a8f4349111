"""What a run did, read back from the metadata that `metadata.py` and `import_events.py` gave its events; without Dagster's types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


class _Result:
    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> Self:
        """Make it of an event's metadata: a field is under its name, with blanks. TypeError where one that every event has is not there."""
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        found = {label.replace(" ", "_"): value.value for label, value in metadata.items()}
        return cls(**{name: value for name, value in found.items() if name in names})


@dataclass(frozen=True)
class DeliveredSync(_Result):
    """A sync that a run delivered: rows of the source, how many changed how (None where that is not told apart), what was written.

    `kind` says why every row was sent, or since when changes were. `rolled_forward`: an earlier run had begun it.
    """

    sync: int
    kind: str
    rows: int
    rows_sent: int
    files: int
    bytes: int
    added: int | None = None
    updated: int | None = None
    removed: int | None = None
    rolled_forward: bool = False
    redirected_to: str | None = None
    warnings: str | None = None
    notes: str | None = None


@dataclass(frozen=True)
class ImportedFile(_Result):
    """A file that a run took, or `files` of them that are told of together: their records, and how many of these were loaded (`rows`)."""

    file: str
    outcome: str
    records: int
    rows: int
    skipped: int
    rejected: int
    files: int = 1
    reason: str = ""
    warnings: str | None = None
