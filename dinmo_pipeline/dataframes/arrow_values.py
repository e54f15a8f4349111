"""From a value of another library to Arrow batches: pandas, polars, PyArrow, DuckDB, and whatever has Arrow's stream interface.

Nothing is imported for the sake of a look: a value of a library is known by the module that its type is from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.sql.quoting import quote_identifier
from dinmo_pipeline.sql.types import parse_type

if TYPE_CHECKING:
    import pyarrow as pa

TAKEN = (
    "a DataFrame of pandas or polars, a LazyFrame, a table, reader or dataset of PyArrow, a DuckDB relation, a text of SQL, whatever has "
    "__arrow_c_stream__, or an iterator of these"
)
# DuckDB exports these to Arrow as another type or value, so they are exported as text and cast back.
TRAVEL_AS_TEXT = frozenset({"HUGEINT", "UHUGEINT", "TIME WITH TIME ZONE", "BIT", "UUID", "JSON", "BIGNUM"})
_LOST_INSIDE = frozenset({"UHUGEINT", "TIME WITH TIME ZONE", "BIT"})


@dataclass(frozen=True)
class Batches:
    """Rows as Arrow batches, read once. `types` are the DuckDB types of columns, by their place, that travel as text."""

    reader: pa.RecordBatchReader
    types: dict[int, str]


def batches_of(value: Any, scratch: Path) -> Batches:
    """Return the rows of `value`, in its order; what a lazy frame computes is kept in the folder `scratch`. DataError for other values."""
    if _is_of(value, "duckdb", "DuckDBPyRelation"):
        return _relation(value)
    return Batches(_reader(value, scratch), {})


def _is_of(value: Any, package: str, name: str) -> bool:
    return any(kind.__name__ == name and kind.__module__.partition(".")[0].lstrip("_") == package for kind in type(value).__mro__)


def _reader(value: Any, scratch: Path) -> pa.RecordBatchReader:
    import pyarrow as pa

    try:
        if _is_of(value, "pandas", "DataFrame"):
            return _typed(_pandas_table(value).to_reader())
        if _is_of(value, "polars", "DataFrame") or _is_of(value, "polars", "LazyFrame"):
            _refuse_objects(value)
        if _is_of(value, "polars", "LazyFrame"):
            return _typed(_collected(value, scratch))
        if isinstance(value, pa.RecordBatch):
            return _typed(pa.RecordBatchReader.from_batches(value.schema, [value]))
        if _is_of(value, "pyarrow", "Dataset"):
            return _typed(value.scanner().to_reader())
        if hasattr(value, "__arrow_c_stream__"):
            return _typed(pa.RecordBatchReader.from_stream(value))
    # PyArrow's words for a value that fits no type, a column of mixed types, and a type that it has not.
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(f"reading the rows of a {_name(value)}: {error}; give each column one type, or make it text") from error
    if isinstance(value, Iterator | list | tuple):
        return _chained(iter(value), scratch)
    raise DataError(f"writing the rows of a {_name(value)}: it is none of what holds rows here: {TAKEN}")


def _typed(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return the batches with text for columns of nothing, which have no type, and durations to the microsecond, as DuckDB has them.

    DataError for what only pandas understands, and, when it is read, for a part of a microsecond.
    """
    import pyarrow as pa

    def typed(field: pa.Field) -> pa.Field:
        if isinstance(field.type, pa.BaseExtensionType) and field.type.extension_name.startswith("pandas."):
            what = field.type.extension_name.removeprefix("pandas.")
            raise DataError(f"reading the rows: column {field.name!r} is a {what} of pandas, which no file has; make other columns of it")
        if pa.types.is_null(field.type):
            return field.with_type(pa.string())
        return field.with_type(pa.duration("us")) if pa.types.is_duration(field.type) else field

    schema = pa.schema([typed(field) for field in reader.schema])

    def cast() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            try:
                converted = batch.cast(schema)
            except pa.ArrowInvalid as error:
                raise DataError(f"reading the rows: {error}; durations are written to the microsecond, so round them to it") from error
            yield converted

    return reader if schema == reader.schema else pa.RecordBatchReader.from_batches(schema, cast())


def _name(value: Any) -> str:
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}".removeprefix("builtins.")


def _pandas_table(frame: Any) -> pa.Table:
    """Return the frame with the levels of its index that have a name as its first columns; numbers that are NaN are nulls, as in pandas."""
    import pyarrow as pa

    named = [name for name in frame.index.names if name is not None]
    if named:
        if twice := [name for name in named if name in frame.columns]:
            raise DataError(f"reading the rows of a DataFrame: {twice[0]!r} is a level of its index and a column, too; rename one of them")
        unnamed = [level for level, name in enumerate(frame.index.names) if name is None]
        frame = (frame.droplevel(unnamed) if unnamed else frame).reset_index()
    # Two columns may have one name, which PyArrow does not take before they are numbered.
    plain = frame.set_axis([str(place) for place in range(frame.shape[1])], axis="columns")
    for place, name in enumerate(frame.columns):
        column = plain[str(place)]
        kinds = {type(value).__name__.rstrip("_") for value in column[column.notna()]} if column.dtype == object else set()
        if len(kinds) > 1 and kinds & {"bool", "bytes", "str"}:
            raise DataError(f"reading the rows of a DataFrame: column {name!r} holds {' and '.join(sorted(kinds))}; give it one type")
    try:
        numbered = pa.Table.from_pandas(plain, preserve_index=False)
    except (OverflowError, TypeError, UnicodeError) as error:
        raise DataError(f"reading the rows of a DataFrame: {error}; give each column one type that Arrow has") from error
    return numbered.rename_columns([str(name) for name in frame.columns])


def _refuse_objects(frame: Any) -> None:
    """Raise DataError where polars holds Python's own objects: it hands over their addresses."""
    schema = frame.collect_schema()
    if found := [name for name, kind in schema.items() if str(kind) == "Object"]:
        raise DataError(f"reading the rows of a polars frame: column {found[0]!r} holds objects of Python; make values of them")


def _collected(frame: Any, scratch: Path) -> pa.RecordBatchReader:
    """Return the rows of a LazyFrame, computed in polars' streaming engine: a file, and no more memory than that takes."""
    import pyarrow as pa
    import pyarrow.ipc

    path = scratch / "collected.arrow"
    frame.sink_ipc(path, compression="zstd")
    file = pa.ipc.open_file(pa.memory_map(str(path)))
    return pa.RecordBatchReader.from_batches(file.schema, (file.get_batch(number) for number in range(file.num_record_batches)))


def _chained(values: Iterator[Any], scratch: Path) -> pa.RecordBatchReader:
    """Return the rows of all values, one after the other. DataError where one has not the columns of the first, or is text."""
    import pyarrow as pa

    first = next(values, None)
    if first is None:
        raise DataError("writing the rows of an iterator: it gave nothing, and so nothing tells the columns; give one empty table at least")
    head = _reader(first, scratch)

    def batches() -> Iterator[pa.RecordBatch]:
        for number, value in enumerate(values, start=2):
            reader = _reader(value, scratch)
            if reader.schema.names != head.schema.names:
                raise DataError(
                    f"writing the rows of an iterator: value {number} has the columns {', '.join(reader.schema.names)}, and the first has "
                    f"{', '.join(head.schema.names)}; give all the same columns in the same order"
                )
            for name, of_first, found in zip(head.schema.names, head.schema.types, reader.schema.types, strict=True):
                if not _is_same(of_first, found):
                    raise DataError(
                        f"writing the rows of an iterator: value {number} has another type than the first: column {name!r} is {found}, and "
                        f"{of_first} there; give all the same types"
                    )
            yield from (batch if batch.schema == head.schema else batch.cast(head.schema) for batch in reader)

    return pa.RecordBatchReader.from_batches(head.schema, chain(head, batches()))


def _is_same(one: pa.DataType, other: pa.DataType) -> bool:
    """Return whether values of one type are those of the other: nothing is converted but one form of text, or of bytes, to another."""
    import pyarrow as pa

    forms = ({pa.string(), pa.large_string(), pa.string_view()}, {pa.binary(), pa.large_binary(), pa.binary_view()})
    return one == other or any({one, other} <= of_one for of_one in forms)


def _relation(relation: Any) -> Batches:
    import pyarrow as pa

    types = {place: parse_type(str(type_text)) for place, type_text in enumerate(relation.types)}
    for place, column_type in types.items():
        if inside := {part.kind for part in column_type.walk() if part is not column_type} & _LOST_INSIDE:
            raise DataError(
                f"reading the rows of a DuckDB relation: column {relation.columns[place]!r} has a {sorted(inside)[0]} inside, which Arrow "
                "cannot carry; give the query itself as text, or cast it there"
            )
    as_text = {place: str(relation.types[place]) for place, column_type in types.items() if column_type.kind in TRAVEL_AS_TEXT}
    values = [
        f"CAST({quote_identifier(name)} AS VARCHAR) AS {quote_identifier(name)}" if place in as_text else quote_identifier(name)
        for place, name in enumerate(relation.columns)
    ]
    return Batches(pa.RecordBatchReader.from_stream(relation.project(", ".join(values)) if as_text else relation), as_text)
