"""From a DuckDB type to the SQL of the value that stands in a Parquet file."""

from __future__ import annotations

from dataclasses import dataclass

from dinmo_pipeline.formats.value_text import NESTED, TextStyle, plain_text
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal
from dinmo_pipeline.sql.types import DuckType

# DuckDB would cut intervals to milliseconds and refuse negative ones, drop the offset of a time, and store a variant in a shape that
# few readers know; it would make doubles of the largest integers, and a file that PyArrow refuses of an array that is null. A time of
# Parquet ends before 24:00:00; of a UUID and of JSON some readers make bytes, and others refuse the file at JSON that is no object.
_AS_TEXT = frozenset({"INTERVAL", "JSON", "TIME", "TIME_NS", "TIME WITH TIME ZONE", "UUID", "VARIANT"})
_AS_DECIMAL = frozenset({"HUGEINT", "UHUGEINT"})
# What is infinite is a number without meaning in Parquet, and years beyond these keep Python's readers from the whole file.
_RANGES = {
    **{
        kind: f"{{value}} >= CAST('0001-01-01' AS {kind}) AND {{value}} < CAST('10000-01-01' AS {kind})"
        for kind in ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS")
    },
    "TIMESTAMP WITH TIME ZONE": "{value} >= TIMESTAMPTZ '0001-01-01 00:00:00+00' AND {value} < TIMESTAMPTZ '10000-01-01 00:00:00+00'",
    "TIMESTAMP_NS": "isfinite({value})",
    "TIMESTAMPTZ_NS": "isfinite(CAST({value} AS TIMESTAMPTZ))",
}
_TIME_RANGES = {kind: f"{{value}} < CAST('24:00:00' AS {kind})" for kind in ("TIME", "TIME_NS")}
_RANGES |= _TIME_RANGES
_CHANGED = _AS_TEXT | _AS_DECIMAL | frozenset(_RANGES) | {"ARRAY", "UNION"}


@dataclass(frozen=True)
class ParquetStyle:
    """How values stand in a file: text is written as in the time zone `zone`; `native` are types that keep Parquet's own type."""

    zone: str
    native: frozenset[str] = frozenset()

    def as_text(self, kind: str) -> bool:
        """Say whether values of this type are texts."""
        return kind in _AS_TEXT - self.native


def refusals(column_type: DuckType, style: ParquetStyle) -> str:
    """Say which values of this type Parquet cannot hold, as an error does."""
    kinds = {part.kind for part in column_type.walk() if not style.as_text(part.kind)}
    said = ["a Parquet number has at most 38 digits"] * bool(kinds & _AS_DECIMAL)
    said += ["a Parquet time ends before 24:00:00"] * bool(kinds & _TIME_RANGES.keys())
    said += ["a Parquet date is finite and, for its readers, of the years 1 to 9999"] * bool(kinds & (_RANGES.keys() - _TIME_RANGES))
    return ", and ".join(said)


def union_tag(union: DuckType) -> str:
    """Return what the tag's member is called in the struct that stands for a union."""
    return "tag" if all(name.casefold() != "tag" for name, _ in union.members) else "_tag"


def parquet_value(column_type: DuckType, value: str, style: ParquetStyle) -> str:
    """Return SQL for `value`, an expression of this type, as a type that Parquet has; NULL for NULL. It fails for what `refusals` says."""
    # DuckDB would mark a column as REQUIRED while it sees no null in it, and the files of an activation have one schema.
    return f"CASE WHEN {value} IS NOT NULL THEN {_value(column_type, value, style, depth=0)} END"


def _value(column_type: DuckType, value: str, style: ParquetStyle, *, depth: int) -> str:
    kind, members = column_type.kind, column_type.members
    if style.as_text(kind):
        return plain_text(kind, value, TextStyle(style.zone))
    if kind in _AS_DECIMAL:
        return f"CAST({value} AS DECIMAL(38,0))"
    if kind in _RANGES:
        # TRY takes no error(), which is volatile; no text that begins so is a date.
        fails = f"CAST('out of range: ' || CAST({value} AS VARCHAR) AS {kind})"
        return f"CASE WHEN {value} IS NULL OR ({_RANGES[kind].format(value=value)}) THEN {value} ELSE {fails} END"
    if kind not in NESTED or not any(part.kind in _CHANGED for part in column_type.walk()):
        return value
    item = f"x{depth}"

    def member(part: DuckType, expression: str) -> str:
        return _value(part, expression, style, depth=depth + 1)

    if kind == "ARRAY" and members[0][1].kind not in NESTED and members[0][1].kind not in _CHANGED:
        return f"{value}[:]"
    if kind in ("LIST", "ARRAY"):
        return f"list_transform({value}, lambda {item}: {member(members[0][1], item)})"
    if kind == "MAP":
        entry = f"struct_pack(key := {member(members[0][1], f'{item}.key')}, value := {member(members[1][1], f'{item}.value')})"
        return f"map_from_entries(list_transform(map_entries({value}), lambda {item}: {entry}))"
    if kind == "UNION":
        parts = [f"{union_tag(column_type)} := CAST(union_tag({value}) AS VARCHAR)"]
        parts += [f"{quote_identifier(n)} := {member(t, f'union_extract({value}, {quote_literal(n)})')}" for n, t in members]
    elif kind == "STRUCT":
        parts = [f"{quote_identifier(n)} := {member(t, f'struct_extract({value}, {quote_literal(n)})')}" for n, t in members]
    else:
        parts = [f"element{i} := {member(t, f'struct_extract({value}, {i})')}" for i, (_, t) in enumerate(members, 1)]
    return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(parts)}) END"
