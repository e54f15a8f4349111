"""From rows to the value that code asks for: a DataFrame of pandas or polars, a LazyFrame, or what PyArrow and DuckDB have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from dinmo_pipeline.errors import CallError

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_OF_A_BATCH = 100_000
_INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")


def make_value(connection: duckdb.DuckDBPyConnection, query: str, names: Sequence[str], wanted: Any, folder: Path) -> Any:
    """Return the rows of `query` as a value of the type `wanted`, a PyArrow table where that says nothing, with these names of columns.

    The rows are written to a file of `folder` and mapped from there, so that no more of them is in memory than is looked at; a LazyFrame
    reads the file when it is collected. CallError for other types.
    """
    make = _MAKERS.get(_qualified(wanted))
    if make is None:
        raise CallError(f"reading files as {_qualified(wanted)}: it is none of {', '.join(sorted(filter(None, _MAKERS)))}")
    import pyarrow as pa

    path = folder / "rows.arrow"
    query, durations = _with_durations(connection, query)
    reader = connection.sql(query).to_arrow_reader(_ROWS_OF_A_BATCH)
    types = [pa.duration("us") if place in durations else kind for place, kind in enumerate(reader.schema.types)]
    schema = pa.schema([pa.field(name, kind) for name, kind in zip(names, types, strict=True)])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in reader:
            columns = [column.cast(kind) for column, kind in zip(batch.columns, types, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    return make(path)


def _with_durations(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[str, set[int]]:
    """Return the query with microseconds in place of intervals that have no months, and the places of these columns.

    A frame's durations are written as intervals, and neither polars nor pandas makes one of Arrow's again.
    """
    described = connection.execute(f"DESCRIBE {query}").fetchall()
    intervals = [name for name, kind, *_ in described if kind == "INTERVAL"]
    if not intervals:
        return query, set()
    tests = ", ".join(f"count(*) FILTER (datepart('year', {name}) * 12 + datepart('month', {name}) <> 0)" for name in intervals)
    [months] = connection.execute(f"SELECT {tests} FROM ({query})").fetchall()
    plain = {name for name, count in zip(intervals, months, strict=True) if not count}
    values = ", ".join(f"epoch_us({name}) AS {name}" if name in plain else name for name, *_ in described)
    return f"SELECT {values} FROM ({query})", {place for place, (name, *_) in enumerate(described) if name in plain}


def _qualified(wanted: Any) -> str:
    """Return a type's name as its users import it: `polars.DataFrame`; nothing for no annotation."""
    if wanted is None or wanted is Any:
        return ""
    if not isinstance(wanted, type):
        return str(wanted)
    return f"{wanted.__module__.partition('.')[0].lstrip('_')}.{wanted.__name__}"


def _mapped(path: Path) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _dataset(path: Path) -> Any:
    import pyarrow.dataset

    return pyarrow.dataset.dataset(path, format="ipc")


def _pandas(path: Path) -> Any:
    import pandas
    import pyarrow as pa

    table = _mapped(path)
    # pandas' own integers and booleans have no null: it would make floats and objects of them.
    nullable = {getattr(pa, name.lower())(): getattr(pandas, f"{name}Dtype")() for name in _INTEGERS} | {pa.bool_(): pandas.BooleanDtype()}
    plain = table.to_pandas()
    for place, column in enumerate(table.columns):
        if column.null_count and column.type in nullable:
            plain.isetitem(place, column.to_pandas(types_mapper=nullable.get))
    return plain


def _polars(path: Path) -> Any:
    import polars

    return polars.from_arrow(_mapped(path))


def _lazy(path: Path) -> Any:
    import polars

    return polars.scan_ipc(path)


def _relation(path: Path) -> Any:
    # A database of its own: the relation is used when this call is long over.
    return duckdb.connect().from_arrow(_dataset(path))


_MAKERS: Mapping[str, Callable[[Path], Any]] = {
    "": _mapped,
    "pyarrow.Table": _mapped,
    "pyarrow.RecordBatchReader": lambda path: _mapped(path).to_reader(),
    "pyarrow.Dataset": _dataset,
    "pandas.DataFrame": _pandas,
    "polars.DataFrame": _polars,
    "polars.LazyFrame": _lazy,
    "duckdb.DuckDBPyRelation": _relation,
}
