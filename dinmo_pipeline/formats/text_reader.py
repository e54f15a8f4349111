"""What reading CSV, JSON, NDJSON and XML back shares: the texts of a file's cells, batch by batch, become values in a temporary table."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import duckdb
import pyarrow

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.arrow_stream import ArrowStream
from dinmo_pipeline.formats.base import Rows
from dinmo_pipeline.formats.decode import text_blocks
from dinmo_pipeline.formats.decompress import open_packed
from dinmo_pipeline.formats.nested_value import JsonValues, NestedValues
from dinmo_pipeline.formats.session import writing_settings
from dinmo_pipeline.formats.value_text import NESTED, TextStyle, column_types
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, how_to_raise
from dinmo_pipeline.sql.quoting import quote_identifier

# Our own files may be packed as well as they can be, and take as long as whoever uses the rows.
LIMITS = replace(DEFAULT_LIMITS, unpacked_ratio=2**40, file_seconds=2**40)

_BLOCK_BYTES = 1024 * 1024
_SHOWN = 200


class ReadableText(Protocol):
    """A text format as its reader needs it: how values read, and the texts of a file's cells."""

    embeds_json: ClassVar[bool]

    def style(self, rows: Rows) -> TextStyle:
        """Say how values that are not nested read."""

    def nested_style(self, rows: Rows) -> TextStyle:
        """Say how nested ones do."""

    def cells(self, local_path: Path, rows: Rows) -> Iterator[list[pyarrow.Array]]:
        """Yield the texts, a batch of rows at a time, an array a column."""


def load(connection: duckdb.DuckDBPyConnection, form: ReadableText, local_path: Path, rows: Rows) -> str:
    """Load a file of such rows into a temporary table, and return the SQL that gives its rows. DataError as `Format.read` says."""
    values = []
    for index, (column, column_type) in enumerate(zip(rows.columns, column_types(rows), strict=True)):
        if column_type.kind in NESTED:
            made = JsonValues(form.nested_style(rows), column.name, embedded=form.embeds_json).of_text(column_type, f"c{index}")
        else:
            made = NestedValues(form.style(rows), column.name).value(column_type, f"c{index}")
        values.append(f"CAST({made} AS {column.type}) AS v{index}")
    name = f"read_back_{secrets.token_hex(8)}"
    schema = pyarrow.schema([(f"c{index}", pyarrow.large_string()) for index in range(len(rows.columns))])
    batches = (pyarrow.RecordBatch.from_arrays(cells, schema=schema) for cells in form.cells(local_path, rows))
    table, stream = f"temp.main.{name}", ArrowStream(schema, batches)
    connection.register(f"{name}_cells", stream.reader)
    try:
        with writing_settings(connection, rows.timezone):
            connection.execute(f"CREATE TEMP TABLE {name} AS SELECT {', '.join(values)} FROM {name}_cells")
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        # Without DuckDB's name for the error, and without the query that it shows.
        raise DataError(f"reading {local_path.name}: {str(error).partition(': ')[2].partition(chr(10))[0]}") from error
    finally:
        connection.unregister(f"{name}_cells")
    if stream.error is not None:
        connection.execute(f"DROP TABLE {table}")
        raise stream.error
    named = ", ".join(f"v{index} AS {quote_identifier(column.name)}" for index, column in enumerate(rows.columns))
    return f"SELECT {named} FROM {table}"


def text_after(local_path: Path, compression: Literal["none", "gzip", "zstd"], encoding: str, head: str) -> Iterator[bytes]:
    """Yield what follows `head`, with which the file's text begins, as UTF-8 in blocks of whole characters. DataError where it does not."""
    begins, held = head.encode(), b""
    with open_packed(local_path, None if compression == "none" else compression, LIMITS) as file:
        blocks = text_blocks(file, local_path.name, encoding, _BLOCK_BYTES, "It is no such file.", LIMITS, mark=b"")
        for block in blocks:
            held += block
            if len(held) >= len(begins):
                break
        if not held.startswith(begins):
            expected, found = head[:_SHOWN], held[: len(begins)].decode(errors="replace")[:_SHOWN]
            raise DataError(f"reading {local_path.name}: it begins with {found!r}, and a file of these columns with {expected!r}")
        if len(held) > len(begins):
            yield held[len(begins) :]
        yield from blocks


def pieces(name: str, blocks: Iterator[bytes], between: bytes, kept: int = 0) -> Iterator[tuple[bytes, bool]]:
    """Yield the text in pieces of whole records, and whether one is what follows the last `between` of all.

    `between` stands between records alone. It is left out but for the last `kept` bytes, with which the next piece begins.
    """
    held: list[bytes] = []
    size, overlap = 0, max(len(between) - 1, 1)
    for block in blocks:
        # It may have begun in the block before.
        tail = held.pop() + block if held else block
        size += len(block)
        end = tail.rfind(between)
        if end >= 0:
            yield b"".join([*held, tail[:end]]), False
            tail = tail[end + len(between) - kept :]
            held, size = [], len(tail)
        elif size > LIMITS.record_bytes:
            raise DataError(f"reading {name}: a record is longer than {LIMITS.record_bytes:,} bytes; {how_to_raise('record_bytes')}")
        held += [tail[:-overlap], tail[-overlap:]]
    yield b"".join(held), True
