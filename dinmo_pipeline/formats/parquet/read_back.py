"""Reading back the Parquet that `write` wrote: each value as DuckDB has it, from the type that stood for its own."""

from __future__ import annotations

from pathlib import Path

import duckdb

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.base import Rows
from dinmo_pipeline.formats.nested_value import NestedValues
from dinmo_pipeline.formats.parquet.write_values import ParquetStyle, union_tag
from dinmo_pipeline.formats.value_text import TextStyle, column_types
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal
from dinmo_pipeline.sql.types import DuckType, parse_type

_STORED = {
    **dict.fromkeys(("ENUM", "BIGNUM", "BIT"), "VARCHAR"),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS"), "TIMESTAMP"),
    **dict.fromkeys(("UNION", "TUPLE"), "STRUCT"),
    "ARRAY": "LIST",
}
_GLOB = str.maketrans({sign: f"[{sign}]" for sign in "[*?"})


class ParquetValues(NestedValues):
    """Makes the SQL of values that stand in a Parquet file in this style."""

    def __init__(self, style: ParquetStyle, column: str) -> None:
        super().__init__(TextStyle(style.zone), column)
        self._parquet = style

    def value(self, column_type: DuckType, found: str, depth: int = 0) -> str:
        changed = any(part.kind in ("UNION", "TUPLE") or self._parquet.as_text(part.kind) for part in column_type.walk())
        return super().value(column_type, found, depth) if changed else found

    def _plain(self, column_type: DuckType, found: str) -> str:
        return super()._plain(column_type, found) if self._parquet.as_text(column_type.kind) else found


def query(connection: duckdb.DuckDBPyConnection, local_path: Path, rows: Rows, style: ParquetStyle) -> str:
    """Return SQL that gives the rows of the file, which has these columns and was written in this style. DataError where it has not."""
    # A pattern in the file's name names it alone; a folder called `a=b` is no column. NaN is in no statistics, so these are not relied on.
    file = f"read_parquet({quote_literal(str(local_path).translate(_GLOB))}, hive_partitioning = false, can_have_nan = true)"
    try:
        found = connection.execute(f"DESCRIBE SELECT * FROM {file}").fetchall()
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        raise DataError(f"reading {local_path.name}: it is no whole Parquet file: {error}") from error
    types = column_types(rows)
    stored = [(column.name, _stored(column_type, style)) for column, column_type in zip(rows.columns, types, strict=True)]
    if [(name, parse_type(kind)) for name, kind, *_ in found] != stored:
        there, expected = ", ".join(f"{name} {kind}" for name, kind, *_ in found), ", ".join(f"{c.name} {c.type}" for c in rows.columns)
        raise DataError(f"reading {local_path.name}: it was not written with the columns {expected}: its own are {there}")
    values = [
        f"CAST({ParquetValues(style, column.name).value(column_type, f'c{index}')} AS {column.type}) AS {quote_identifier(column.name)}"
        for index, (column, column_type) in enumerate(zip(rows.columns, types, strict=True))
    ]
    return f"SELECT {', '.join(values)} FROM {file} AS file({', '.join(f'c{index}' for index in range(len(values)))})"


def _stored(column_type: DuckType, style: ParquetStyle) -> DuckType:
    """Return the type that DuckDB finds in a file which was written with this one."""
    kind, parts = column_type.kind, [(name, _stored(part, style)) for name, part in column_type.members]
    if kind in ("HUGEINT", "UHUGEINT"):
        return DuckType("DECIMAL", (), (38, 0))
    if kind == "UNION":
        parts.insert(0, (union_tag(column_type), DuckType("VARCHAR")))
    elif kind == "TUPLE":
        parts = [(f"element{name}", part) for name, part in parts]
    kind = "VARCHAR" if style.as_text(kind) else _STORED.get(kind, kind)
    return DuckType(kind, tuple(parts), column_type.digits)
