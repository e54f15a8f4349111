"""Reads files that a `FileWriter` wrote to a storage, as a value of the type that the caller asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from dinmo_pipeline.dataframes.arrow_values import TRAVEL_AS_TEXT
from dinmo_pipeline.dataframes.staged_rows import scratch_connection
from dinmo_pipeline.dataframes.typed_values import make_value
from dinmo_pipeline.dataframes.write import WrittenFile, WrittenFiles
from dinmo_pipeline.engines.duckdb.connection import disk_errors
from dinmo_pipeline.engines.duckdb.queries.query_errors import query_words
from dinmo_pipeline.errors import CallError, DataError, StateError
from dinmo_pipeline.formats.base import Column, Format
from dinmo_pipeline.local_files.contents import sha256_of
from dinmo_pipeline.project.specs import QuerySettings
from dinmo_pipeline.sql.types import parse_type
from dinmo_pipeline.storages.base import Storage, StorageSpec
from dinmo_pipeline.storages.retrying import connection_to
from dinmo_pipeline.suggestions import nearest_hint


@dataclass(frozen=True)
class FileReader:
    """Reads files that a `FileWriter` has left at the storage. `root` is the folder that relative paths start at."""

    storage: StorageSpec
    format: Format
    timezone: str
    root: Path

    def read(self, written: WrittenFiles, wanted: Any, folder: Path, *, only: Sequence[str] | None = None) -> Any:
        """Return the rows of all files, in order, as a value of the type `wanted`; see `make_value`. Its batches are kept in `folder`.

        `only` names the columns that it has, in its order. CallError where there is no such column, StateError where a file is not what
        was written, DataError where its format does not hold what it should, StorageError where it cannot be read.
        """
        with scratch_connection(folder, QuerySettings(self.root, self.timezone)) as connection:
            queries = [self._query(connection, local_path, written.columns) for local_path in self._fetched(written.files, folder)]
            if only is not None and not only:
                raise CallError("reading a file: the input's metadata names no `columns`; name one, or leave them out")
            places = range(len(written.columns)) if only is None else [_place(written.columns, name) for name in only]
            values = ", ".join(_value(written.columns[place], place) for place in places)
            names = ", ".join(f"v{place}" for place in range(len(written.columns)))
            union = " UNION ALL ".join(f"SELECT * FROM ({query}) AS file({names})" for query in queries)
            with _told():
                return make_value(
                    connection, f"SELECT {values} FROM ({union})", [written.columns[place].name for place in places], wanted, folder
                )

    def _query(self, connection: duckdb.DuckDBPyConnection, local_path: Path, columns: Sequence[Column]) -> str:
        with _told():
            return self.format.read(connection, local_path, columns, self.timezone)

    def _fetched(self, files: Sequence[WrittenFile], folder: Path) -> Iterator[Path]:
        with connection_to(self.storage, self.root) as connection:
            for number, file in enumerate(files):
                local_path = folder / f"fetched-{number}"
                connection.do(partial(_fetch, file, local_path))
                if local_path.stat().st_size != file.bytes or sha256_of(local_path) != file.sha256:
                    raise StateError(
                        f"reading {file.path} of {self.storage.name}: it is not the file that was written there: another size or SHA-256; "
                        "somebody has changed it. Materialize the asset again"
                    )
                yield local_path


@contextmanager
def _told() -> Iterator[None]:
    try:
        with disk_errors("reading files back"):
            yield
    except duckdb.Error as error:
        raise DataError(f"reading files back: {query_words(error)}; materialize the asset again") from error


def _place(columns: Sequence[Column], name: str) -> int:
    names = [column.name for column in columns]
    if name not in names:
        raise CallError(f"reading column {name!r}: the file has no such column{nearest_hint(name, names)}")
    return names.index(name)


def _fetch(file: WrittenFile, local_path: Path, storage: Storage) -> None:
    storage.read_listed(file.path, local_path, file.bytes)


def _value(column: Column, place: int) -> str:
    kind = parse_type(column.type).kind
    return f"CAST(v{place} AS VARCHAR) AS v{place}" if kind in TRAVEL_AS_TEXT else f"v{place}"
