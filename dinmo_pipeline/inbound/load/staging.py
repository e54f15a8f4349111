"""From the texts of a batch of files to typed rows in a temporary table, each known by its file and record, the faulty ones marked.

A batch is one stream through DuckDB, however many files it has: that is what makes ten thousand small files cheap. A record
whose value does not fit the type of its column is marked here. Which files count, and how wide columns must be, is decided when all of them
were read (`judging`), so a value that is wider than its column is staged stays a text beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import duckdb
import pyarrow

from dinmo_pipeline.formats.json.read_depth import without_deep_values
from dinmo_pipeline.formats.reader import LINE, RECORD, FileRefused, Reading, Reject
from dinmo_pipeline.inbound.load.column_types import ColumnType, Shape
from dinmo_pipeline.intake_limits import how_to_raise
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboundColumn
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal

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
    records_name_columns: bool = False
    _reading: Reading | None = None

    def begin(self) -> None:
        """Open the file at its start, for its columns; refuses it where there are none."""
        self.refusal = None
        try:
            self._reading = self.open()
        except FileRefused as error:
            self.refusal = str(error)
        else:
            self.columns = self._reading.columns
            self.records_name_columns = self._reading.records_name_columns

    def batches(self, json_columns: Collection[str] = ()) -> Batches:
        """Yield the records of a file that has begun, as text; refuses it where they end in a fault.

        Those are rejected whose JSON in one of `json_columns` has too many levels.
        """
        reading, self._reading = self._reading, None
        if reading is None or self.refusal is not None:
            return
        try:
            yield from self._limited(reading, json_columns)
        except FileRefused as error:
            self.refusal = str(error)
        self.rejects, self.warnings = list(reading.rejects), list(reading.warnings)

    def _limited(self, reading: Reading, json_columns: Collection[str]) -> Batches:
        limits, records = reading.limits, 0
        nested = [name for name in json_columns if name in reading.columns]
        for batch in reading.batches():
            records += len(batch)
            if records + len(reading.rejects) > limits.file_records:
                raise FileRefused(
                    f"it has more than {limits.file_records:,} records: ask for it in several files, or {how_to_raise('file_records')}"
                )
            yield without_deep_values(batch, nested, reading, limits.json_levels) if nested else batch

    def columns_without(self, records: Collection[int]) -> tuple[str, ...]:
        """Return the columns that the file has without these records; reads it again where records, not a header, name them."""
        return self.open().columns_without(records)


def column_types(feed: FeedSpec, columns: Iterable[str]) -> dict[str, ColumnType]:
    """Return the type of each of these columns: as declared; a time for `updated_at`; else text."""
    declared = {column.name: column for column in feed.columns}
    if feed.updated_at is not None:
        declared.setdefault(feed.updated_at, InboundColumn(feed.updated_at, "timestamp"))
    return {name: ColumnType(declared.get(name, InboundColumn(name, "text")), feed.timezone) for name in columns}


@dataclass(frozen=True)
class Staged:
    """What STAGED holds: ARRIVAL, RECORD, LINE, the columns of `types` as values, FAULT and FAULT_VALUE.

    FAULT names the first column whose text is no value of its type in any shape. A blank text in a column of `key` is null. `shapes` are
    those that values are staged in; None where all are texts. Values that are wider are null, and texts in `left_text`. `first` is the
    file whose records made shapes wider than the feed's table.
    """

    types: Mapping[str, ColumnType]
    shapes: Mapping[str, Shape | None]
    key: tuple[str, ...]
    first: int | None

    @property
    def good(self) -> str:
        """SQL for whether a row of STAGED is to be loaded, if its file is."""
        return " AND ".join((f"{FAULT} IS NULL", *(f"{quote_identifier(name)} IS NOT NULL" for name in self.key)))

    @property
    def widening(self) -> tuple[str, ...]:
        """The columns that may have texts left."""
        return tuple(name for name, type_ in self.types.items() if type_.widens)

    def filled(self, name: str) -> str:
        """Return SQL for whether a good row has a value in this column."""
        filled = f"{quote_identifier(name)} IS NOT NULL"
        return f"({filled} OR {left_text(name)} IS NOT NULL)" if self.types[name].widens else filled

    def value(self, name: str, shape: Shape, *, texts: bool) -> str:
        """Return SQL for a column's value in this shape, which all good rows fit; `texts`: whether some are texts."""
        column, type_, staged = quote_identifier(name), self.types[name], self.shapes.get(name)
        if not type_.widens:
            return column
        value = column if staged is None else type_.widened_value(column, staged, shape)
        left = left_text(name)
        return f"CASE WHEN {left} IS NULL THEN {value} ELSE {type_.value(left, shape)} END" if texts else value


def stage(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[InboundFile],
    types: Mapping[str, ColumnType],
    known_shapes: Mapping[str, Shape],
    *,
    key: Collection[str],
    as_text: Collection[str] = (),
    guess: bool = True,
) -> Staged:
    """Read files that have begun into STAGED, once. `known_shapes` are those of the feed's table, `as_text` columns that stay texts.

    `guess`: whether the first good rows may tell wider shapes to stage values in.
    """
    shapes: dict[str, Shape | None] = {name: known_shapes.get(name, type_.first_shape()) for name, type_ in types.items()}
    shapes |= dict.fromkeys(as_text)
    stream = _stream(files, types)
    # What the first good rows need is how most columns are staged, so that hardly a value stays a text.
    beginning = list(islice(stream, 1))
    first = None
    if beginning and guess:
        _read(connection, types, shapes, key, iter(beginning))
        needed = _needed(connection, Staged(types, shapes, tuple(key), None))
        if needed:
            shapes |= needed
            first = beginning[0].column(ARRIVAL)[0].as_py()
    _read(connection, types, shapes, key, chain(beginning, stream))
    return Staged(types, shapes, tuple(key), first)


def left_text(name: str) -> str:
    """Return the column of STAGED with those texts of another one that are wider than its values, quoted."""
    return quote_identifier(f"text of {name}")


def _needed(connection: duckdb.DuckDBPyConnection, staged: Staged) -> dict[str, Shape]:
    """Return the shapes that hold the texts left, where that is wider and surely fits."""
    needs = text_needs(connection, staged)
    found = {}
    for columns in needs.values():
        for name, need in columns.items():
            shape = staged.shapes[name]
            wider = None if shape is None else shape.stretched(need)
            if wider is not None:
                found[name] = wider
    return found


def text_needs(connection: duckdb.DuckDBPyConnection, staged: Staged) -> dict[int, dict[str, Shape]]:
    """Return, by file, for each column with texts left in good rows, the shape that these need."""
    names = staged.widening
    if not names:
        return {}
    there = " OR ".join(f"{left_text(name)} IS NOT NULL" for name in names)
    [counts] = connection.execute(
        f"SELECT {', '.join(f'count({left_text(name)})' for name in names)} FROM {STAGED} WHERE {staged.good} AND ({there})"
    ).fetchall()
    left = [name for name, count in zip(names, counts, strict=True) if count]
    if not left:
        return {}
    aggregates = {name: (f"count({left_text(name)})", *staged.types[name].needs(left_text(name))) for name in left}
    listed = ", ".join(chain.from_iterable(aggregates.values()))
    found: dict[int, dict[str, Shape]] = {}
    rows = connection.execute(f"SELECT {ARRIVAL}, {listed} FROM {STAGED} WHERE {staged.good} AND ({there}) GROUP BY {ARRIVAL}")
    for arrival, *values in rows.fetchall():
        each = iter(values)
        for name, expressions in aggregates.items():
            count, *needs = islice(each, len(expressions))
            if count:
                found.setdefault(arrival, {})[name] = staged.types[name].shape_of_needs(*needs)
    return found


def _read(
    connection: duckdb.DuckDBPyConnection,
    types: Mapping[str, ColumnType],
    shapes: Mapping[str, Shape | None],
    key: Collection[str],
    source: Batches,
) -> None:
    connection.register(_STREAM, pyarrow.RecordBatchReader.from_batches(_schema(tuple(types)), source))
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE staged AS {_typed(types, shapes, key)}")
    finally:
        connection.unregister(_STREAM)


def _typed(types: Mapping[str, ColumnType], shapes: Mapping[str, Shape | None], key: Collection[str]) -> str:
    """Return the query over the stream that gives the rows of STAGED."""
    typed = {name: type_ for name, type_ in types.items() if type_.column.type != "text"}
    widening = [name for name, type_ in typed.items() if type_.widens]
    values = "".join(f", {_staged_value(type_, shapes[name])} AS {_value(name)}" for name, type_ in typed.items())
    unfit = {name: f"{_text(name)} IS NOT NULL AND {_value(name)} IS NULL" for name in typed}
    left = "".join(f", CASE WHEN {unfit[name]} THEN {_text(name)} END AS {left_text(name)}" for name in widening)
    faults = unfit | {name: f"{left_text(name)} IS NOT NULL AND NOT {typed[name].taken(left_text(name))}" for name in widening}
    fault = _case(f"WHEN {condition} THEN {quote_literal(name)}" for name, condition in faults.items())
    columns = "".join(f", {_value(name) if name in typed else _text(name)} AS {_text(name)}" for name in types)
    texts = "".join(f", {left_text(name)}" for name in widening)
    keys = ", ".join(f"CASE WHEN trim({_text(name)}) <> '' THEN {_text(name)} END AS {_text(name)}" for name in key)
    fault_value = _case(f"WHEN {FAULT} = {quote_literal(name)} THEN {_text(name)}" for name in typed)
    return (
        f"SELECT {ARRIVAL}, {RECORD}, {LINE}{columns}{texts}, {FAULT}, {fault_value} AS {FAULT_VALUE} FROM (SELECT *, {fault} AS {FAULT} "
        f"FROM (SELECT *{left} FROM (SELECT *{values} FROM (SELECT * REPLACE ({keys}) FROM {_STREAM}))))"
    )


def _staged_value(type_: ColumnType, shape: Shape | None) -> str:
    name = type_.column.name
    return f"CAST(NULL AS {type_.sql_type(type_.first_shape())})" if shape is None else type_.value(_text(name), shape)


def _case(branches: Iterable[str]) -> str:
    cases = " ".join(branches)
    return f"CASE {cases} END" if cases else "CAST(NULL AS VARCHAR)"


def _stream(files: Sequence[InboundFile], types: Mapping[str, ColumnType]) -> Batches:
    columns = tuple(types)
    schema = _schema(columns)
    json_columns = [name for name, type_ in types.items() if type_.column.type in ("json", "array")]
    for file in files:
        for batch in file.batches(json_columns):
            arrivals = pyarrow.repeat(pyarrow.scalar(file.arrival, pyarrow.int64()), len(batch))
            absent = pyarrow.nulls(len(batch), pyarrow.large_string())
            own = dict(zip(batch.schema.names, batch.columns, strict=True))
            texts = [own.get(name, absent) for name in columns]
            yield pyarrow.RecordBatch.from_arrays([arrivals, own[RECORD], own[LINE], *texts], schema=schema)


def _schema(columns: tuple[str, ...]) -> pyarrow.Schema:
    numbers = [pyarrow.field(name, pyarrow.int64()) for name in (ARRIVAL, RECORD, LINE)]
    return pyarrow.schema([*numbers, *(pyarrow.field(name, pyarrow.large_string()) for name in columns)])


def _text(name: str) -> str:
    return quote_identifier(name)


def _value(name: str) -> str:
    # No header has a space inside once it is an identifier, so this is nobody's name.
    return quote_identifier(f"value of {name}")
