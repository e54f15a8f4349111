"""What a file format is: options that validate themselves and one way to write rows to a local file.

Each format is a folder whose `write` has one frozen pydantic model; `formats.FORMATS` lists them. A format knows nothing of syncs,
storages or Dagster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Column:
    """A column of a delivered file: its name there and the DuckDB type of its values (`DECIMAL(12,2)`)."""

    name: str
    type: str


@dataclass(frozen=True)
class Rows:
    """Rows to be written: a query whose columns are `v0`, `v1`, … in the order of `columns`.

    `query` gives its rows in a fixed order, so that a window of it can be written again. Timestamps with a zone are written in `timezone`
    (an IANA name).
    """

    query: str
    columns: tuple[Column, ...]
    timezone: str

    def window(self, first: int, count: int) -> Rows:
        """Return the `count` rows that start at row number `first` (from 0)."""
        return replace(self, query=f"SELECT * FROM ({self.query}) LIMIT {count} OFFSET {first}")


@dataclass(frozen=True)
class Written:
    """What a written file tells beside its bytes: how many characters the format forbids, so that U+FFFD stands in their place."""

    replaced_characters: int = 0


class Format(BaseModel, ABC):
    """One file format with its options, as the user wrote them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: str

    @property
    @abstractmethod
    def extension(self) -> str:
        """What the file name ends in, without the first dot, compression included: `csv.gz`."""

    @abstractmethod
    def write(self, connection: duckdb.DuckDBPyConnection, rows: Rows, local_path: Path) -> Written:
        """Write `rows` to `local_path`, a new file of mode 0600; a file of no rows is whole too (header, `[]`, empty root).

        The same rows give the same bytes. Raises DataError where a value or name cannot be written in this format; on any error
        neither the file nor a scratch file is left.
        """

    @abstractmethod
    def read(self, connection: duckdb.DuckDBPyConnection, local_path: Path, columns: Sequence[Column], timezone: str) -> str:
        """Return SQL that gives the rows of a file that `write` wrote, as columns named and typed as `columns`, in the file's order.

        `timezone` is the one that the file was written in. Of a text format the rows are loaded into a temporary table, from which the
        SQL selects; it is there until the connection is closed. Parquet is read by the SQL itself. What does not come back
        as it was: `docs/file-formats.md`. Raises DataError where the file is not of this format, is cut off, has other columns, or where
        a text is no value of its type; for a text inside a Parquet file DuckDB raises its own error, when the SQL runs.
        """

    @abstractmethod
    def uncompressed(self) -> Format:
        """Return the same format without compression around the file: what `max_bytes` measures."""

    def line_after(self, connection: duckdb.DuckDBPyConnection, before: Rows, count: int, local_path: Path) -> int | None:
        """Find the line (from 1) of the record that follows the first `count` records; None for a format without lines.

        Those records may be written to `local_path`, a new file, which is gone afterwards.
        """
        return None

    def name_problems(self, names: Sequence[str]) -> list[str]:
        """Return why these column names cannot stand together in a file of this format; empty when they can."""
        return []
