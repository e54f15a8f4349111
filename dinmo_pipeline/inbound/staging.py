"""From the texts of a batch of files to typed rows in a temporary table, each known by its file and record, the faulty ones marked.

A batch is one stream through DuckDB, however many files it has: that is what makes ten thousand small files cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import duckdb
import pyarrow

from dinmo_pipeline.inbound.reading import LINE, RECORD, FileRefused, Reading, Reject
from dinmo_pipeline.inbound.types import ColumnType, Shape
from dinmo_pipeline.project.specs import FeedSpec, InboundColumn
from dinmo_pipeline.warehouse.identifiers import quote_identifier, quote_literal

ARRIVAL = "_arrival"
FAULT = "_fault_column"
FAULT_VALUE = "_fault_value"
STAGED = "temp.main.staged"
_STREAM = "inbound_stream"

Batches = Iterator[pyarrow.RecordBatch]


@dataclass
class InboundFile:
    """One file of a batch while it is read. `arrival` is its number among all files that were ever imported.

    `rejects` are the records that the reader left out. A file whose `refusal` is set has no rows that count.
    """

    arrival: int
    open: Callable[[], Reading]
    columns: tuple[str, ...] = ()
    rejects: list[Reject] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusal: str | None = None
    _reading: Reading | None = None

    def begin(self) -> None:
        """Open the file at its start, for its columns; refuses it where there are none."""
        try:
            self._reading = self.open()
        except FileRefused as error:
            self.refusal = str(error)
        else:
            self.columns = self._reading.columns

    def batches(self) -> Batches:
        """The records of a file that has begun, as text; refuses it where they end in a fault."""
        reading, self._reading = self._reading, None
        if reading is None or self.refusal is not None:
            return
        try:
            yield from reading.batches()
        except FileRefused as error:
            self.refusal = str(error)
        self.rejects, self.warnings = list(reading.rejects), list(reading.warnings)


def column_types(feed: FeedSpec, columns: Iterable[str]) -> dict[str, ColumnType]:
    """The type of each of these columns: as declared; a time for `updated_at`; else text."""
    declared = {column.name: column for column in feed.columns}
    if feed.updated_at is not None:
        declared.setdefault(feed.updated_at, InboundColumn(feed.updated_at, "timestamp"))
    return {name: ColumnType(declared.get(name, InboundColumn(name, "text")), feed.timezone) for name in columns}


def stage(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[InboundFile],
    types: Mapping[str, ColumnType],
    known_shapes: Mapping[str, Shape],
    *,
    key: Collection[str],
) -> dict[str, Shape]:
    """Read files that have begun into STAGED: ARRIVAL, RECORD, LINE, the columns of `types` as values, FAULT and FAULT_VALUE.

    FAULT names the first column whose text is no value of its type. A blank text in a column of `key` is null. `known_shapes` are
    those of the feed's table. Returns the shapes that hold all values of both; a value that is too wide late in a file has the
    batch read once more.
    """
    shapes = {name: known_shapes.get(name, type_.first_shape()) for name, type_ in types.items()}
    stream = _stream(files, tuple(types))
    # The first rows tell most shapes, so that hardly a batch is read twice.
    beginning = list(islice(stream, 1))
    shapes = _staged(connection, types, shapes, key, lambda: iter(beginning))
    again = False

    def whole() -> Batches:
        nonlocal again, stream
        if again:
            for file in files:
                file.begin()
            stream = _stream(files, tuple(types))
            return stream
        again = True
        return chain(beginning, stream)

    return _staged(connection, types, shapes, key, whole)


def _staged(
    connection: duckdb.DuckDBPyConnection,
    types: Mapping[str, ColumnType],
    shapes: dict[str, Shape],
    key: Collection[str],
    source: Callable[[], Batches],
) -> dict[str, Shape]:
    """Read `source` until the shapes hold it; the shapes."""
    while True:
        _read(connection, types, shapes, key, source())
        wider = {name: shape.widened(_needed(connection, types[name])) for name, shape in shapes.items()}
        if wider == shapes:
            return shapes
        shapes = wider


def _read(
    connection: duckdb.DuckDBPyConnection,
    types: Mapping[str, ColumnType],
    shapes: Mapping[str, Shape],
    key: Collection[str],
    source: Batches,
) -> None:
    typed = [(name, type_) for name, type_ in types.items() if type_.column.type != "text"]
    values = "".join(f", {type_.value(_text(name), shapes[name])} AS {_value(name)}" for name, type_ in typed)
    columns = "".join(f", {_value(name) if (name, types[name]) in typed else _text(name)} AS {_text(name)}" for name in types)
    keys = ", ".join(f"CASE WHEN trim({_text(name)}) <> '' THEN {_text(name)} END AS {_text(name)}" for name in key)
    faulty = [(f"{_text(name)} IS NOT NULL AND {_value(name)} IS NULL", name) for name, _ in typed]
    fault = "".join(f" WHEN {condition} THEN {quote_literal(name)}" for condition, name in faulty)
    text = "".join(f" WHEN {condition} THEN {_text(name)}" for condition, name in faulty)
    connection.register(_STREAM, pyarrow.RecordBatchReader.from_batches(_schema(tuple(types)), source))
    try:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE staged AS SELECT {ARRIVAL}, {RECORD}, {LINE}{columns}, "
            f"{_case(fault)} AS {FAULT}, {_case(text)} AS {FAULT_VALUE} "
            f"FROM (SELECT *{values} FROM (SELECT * REPLACE ({keys}) FROM {_STREAM}))"
        )
    finally:
        connection.unregister(_STREAM)


def _case(branches: str) -> str:
    return f"CASE{branches} END" if branches else "CAST(NULL AS VARCHAR)"


def _needed(connection: duckdb.DuckDBPyConnection, type_: ColumnType) -> Shape:
    faulty = f"(SELECT {FAULT_VALUE} FROM {STAGED} WHERE {FAULT} = {quote_literal(type_.column.name)})"
    return type_.shape_needed(connection, faulty, FAULT_VALUE)


def _stream(files: Sequence[InboundFile], columns: tuple[str, ...]) -> Batches:
    schema = _schema(columns)
    for file in files:
        for batch in file.batches():
            arrivals = pyarrow.repeat(pyarrow.scalar(file.arrival, pyarrow.int64()), len(batch))
            absent = pyarrow.nulls(len(batch), pyarrow.large_string())
            texts = [batch.column(name) if name in file.columns else absent for name in columns]
            yield pyarrow.RecordBatch.from_arrays([arrivals, batch.column(RECORD), batch.column(LINE), *texts], schema=schema)


def _schema(columns: tuple[str, ...]) -> pyarrow.Schema:
    numbers = [pyarrow.field(name, pyarrow.int64()) for name in (ARRIVAL, RECORD, LINE)]
    return pyarrow.schema([*numbers, *(pyarrow.field(name, pyarrow.large_string()) for name in columns)])


def _text(name: str) -> str:
    return quote_identifier(name)


def _value(name: str) -> str:
    # No header has a space inside once it is an identifier, so this is nobody's name.
    return quote_identifier(f"value of {name}")
