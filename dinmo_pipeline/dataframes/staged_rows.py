"""Rows on their way to files: a table of a scratch database, as a model's table is one of the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from dinmo_pipeline.dataframes.arrow_values import batches_of
from dinmo_pipeline.engines.duckdb.connection import configure, interruptible
from dinmo_pipeline.engines.duckdb.differences.diff import NumberedRows
from dinmo_pipeline.engines.duckdb.queries.query_errors import query_words
from dinmo_pipeline.engines.duckdb.queries.translate import translate_duckdb_errors
from dinmo_pipeline.engines.duckdb.rows import row_count
from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.arrow_stream import ArrowStream
from dinmo_pipeline.formats.base import Column, Format, Written
from dinmo_pipeline.project.specs import QuerySettings
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal

if TYPE_CHECKING:
    pass

_STAGED = "scratch.main.staged"


@dataclass(frozen=True)
class StagedRows:
    """A value's rows while their connection is open: `columns` in their order, `count` rows."""

    connection: duckdb.DuckDBPyConnection
    columns: tuple[Column, ...]
    count: int

    def rows(self, timezone: str, first: int, count: int) -> NumberedRows:
        """Return the `count` rows from row number `first` (from 0) as formats take them."""
        every = NumberedRows(f"SELECT * FROM {_STAGED}", self.columns, timezone)
        return every if (first, count) == (0, self.count) else every.window(first, count)

    def write(self, form: Format, rows: NumberedRows, local_path: Path) -> Written:
        """Write rows to a new local file. DataError where a value cannot be written, StateError when the disk does not take it."""
        with translate_duckdb_errors(f"writing {form.type}"):
            return form.write(self.connection, rows, local_path)


@contextmanager
def scratch_connection(folder: Path, settings: QuerySettings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection whose tables are in a file of `folder`; what does not fit into memory goes there, too."""
    connection = duckdb.connect(":memory:", config={"temp_directory": str(folder / "spilled")})
    try:
        configure(connection, settings)
        connection.execute(f"ATTACH {quote_literal(str(folder / 'scratch.duckdb'))} AS scratch")
        with interruptible():
            yield connection
    finally:
        connection.close()


@contextmanager
def staged_rows(value: Any, folder: Path, settings: QuerySettings, *, database: Path | None = None) -> Iterator[StagedRows]:
    """Yield the rows of a value; a text is a query, of the DuckDB file `database` where there is one. DataError where it holds no rows."""
    with scratch_connection(folder, settings) as connection:
        with translate_duckdb_errors("reading the rows"):
            names = _stage_query(connection, value, database) if isinstance(value, str) else _stage_batches(connection, value, folder)
            described = connection.execute(f"DESCRIBE {_STAGED}").fetchall()
        columns = tuple(Column(name, str(column[1])) for name, column in zip(names, described, strict=True))
        yield StagedRows(connection, columns, row_count(connection, _STAGED))


def _stage_query(connection: duckdb.DuckDBPyConnection, sql: str, database: Path | None) -> list[str]:
    if database is not None:
        connection.execute(f"ATTACH {quote_literal(str(database))} AS database (READ_ONLY)")
        connection.execute("USE database")
    # Of its own line, so that a comment at the end of the query ends before the bracket.
    query = f"(\n{sql.strip().rstrip(';')}\n)"
    try:
        names = [str(column[0]) for column in connection.execute(f"DESCRIBE {query}").fetchall()]
        connection.execute(f"CREATE TABLE {_STAGED} AS SELECT * FROM {query} AS query({_numbered(len(names))})")
    except duckdb.Error as error:
        raise DataError(f"running the query: {query_words(error)}; a text is one query, which reads; nothing was delivered") from error
    return names


def _stage_batches(connection: duckdb.DuckDBPyConnection, value: Any, folder: Path) -> list[str]:
    import pyarrow as pa

    batches = batches_of(value, folder)
    names = [str(name) for name in batches.reader.schema.names]
    # Numbers for names: DuckDB takes two that differ in case alone for one, and gives the second another.
    schema = pa.schema([field.with_name(f"v{place}") for place, field in enumerate(batches.reader.schema)])
    stream = ArrowStream(schema, (batch.rename_columns(schema.names) for batch in batches.reader))
    values = ", ".join(
        f"CAST(v{place} AS {batches.types[place]}) AS v{place}" if place in batches.types else f"v{place}" for place in range(len(names))
    )
    connection.register("batches", stream.reader)
    try:
        connection.execute(f"CREATE TABLE {_STAGED} AS SELECT {values} FROM batches")
    finally:
        connection.unregister("batches")
    if stream.error is not None:
        raise stream.error
    return names


def _numbered(count: int) -> str:
    return ", ".join(quote_identifier(f"v{place}") for place in range(count))
