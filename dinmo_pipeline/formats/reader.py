"""What every reader of an inbound file gives: its records as text, where each stands, and which could not be read.

A reader makes no types: a value is the text that stands in the file, null is null. Every data record of the file is either
in a batch or among the rejects; a file that cannot be told apart into records is refused as a whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, how_to_raise

if TYPE_CHECKING:
    import pyarrow

RECORD = "_record"
LINE = "_line"
SHOWN = 1000
"""So many characters of a rejected value are told; the record is kept as it came."""

_LISTED = 20
_SHOWN_NAME = _SHOWN_VALUE = 60
_OURS = frozenset(
    {RECORD, LINE, "_file", "_file_date", "_loaded_at", "_updated_at", "_arrival", "_feed", "_largest", "_fault_column", "_fault_value"}
)


def is_ours(column: str) -> bool:
    """Return whether the product gives this name to a column of its own, so that no file may."""
    return column in _OURS or column.startswith("_dinmo")


def listed(names: Collection[str]) -> str:
    """Return the names for a message: the first of very many, and the beginning of very long ones."""
    shown = [name if len(name) <= _SHOWN_NAME else f"{name[:_SHOWN_NAME]}…" for name in islice(names, _LISTED)]
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(shown) + more


class FileRefused(DataError):
    """Nothing of the file can be taken; the text says why, with the line or the byte where it can be told."""


@dataclass(frozen=True)
class Reject:
    """A record that is left out: its number among the file's records and its physical line, both from 1, and why.

    `column` and `value` are None where the record as a whole is at fault.
    """

    record: int
    line: int
    column: str | None
    value: str | None
    reason: str

    @property
    def told(self) -> str:
        """Where and why in one line; a long value is cut."""
        column = f", column {self.column}" if self.column is not None else ""
        value = "" if self.value is None else f", value {self.value[:_SHOWN_VALUE] + '…' * (len(self.value) > _SHOWN_VALUE)!r}"
        return f"line {self.line}{column}{value}: {self.reason}"


class Reading(ABC):
    """One file being read, once, from its beginning to its end; a context manager would add nothing, the file is closed at its end.

    `columns` are the file's columns as identifiers, in its order. `rejects` and `warnings` are complete when the batches are
    exhausted; `warnings` are sentences for people.
    """

    records_name_columns: ClassVar[bool] = False
    """Whether each record names its own members, and no header the columns of all."""

    limits: IntakeLimits = DEFAULT_LIMITS
    columns: tuple[str, ...]
    rejects: list[Reject]
    warnings: list[str]

    def check_rejects(self, file_name: str) -> None:
        """Raise FileRefused where there are more rejects than `limits` allow: all of them are kept in memory."""
        most = self.limits.rejected_records
        if len(self.rejects) > most:
            first = self.rejects[0]
            raise FileRefused(
                f"{file_name}: more than {most:,} records are rejected; the first one is on line {first.line}: {first.reason}. "
                f"Ask for the file again, or {how_to_raise('rejected_records')}."
            )

    @property
    def schema(self) -> pyarrow.Schema:
        """The schema of the batches: RECORD and LINE as int64, then the columns as large strings."""
        # Here, so that whoever only asks what became of files does not wait for it.
        import pyarrow

        numbers = [pyarrow.field(RECORD, pyarrow.int64(), nullable=False), pyarrow.field(LINE, pyarrow.int64(), nullable=False)]
        return pyarrow.schema([*numbers, *(pyarrow.field(name, pyarrow.large_string()) for name in self.columns)])

    @abstractmethod
    def batches(self) -> Iterator[pyarrow.RecordBatch]:
        """Return the records that could be read, in the file's order, in batches of bounded size. FileRefused at any point."""

    @abstractmethod
    def originals(self, records: Collection[int]) -> Iterator[tuple[int, str]]:
        """Return the text of these records as it stands in the file, in order, without the line ending; reads the file again."""

    def columns_without(self, records: Collection[int]) -> tuple[str, ...]:
        """Return the columns that the file has without these records: all of them where a header names them, else it is read again."""
        return self.columns
