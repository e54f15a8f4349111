"""Random tables of random types: every format gives back what was in them, to readers that are not ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dinmo_pipeline.formats.base import Column, Rows
from dinmo_pipeline_tests.random_cases import CASES

from .conftest import make
from .readers import Field, Nil, read_csv, read_json, read_parquet, read_xml
from .values import ZONE

PARIS = ZoneInfo(ZONE)
FORBIDDEN = {*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF}


@dataclass(frozen=True)
class Kind:
    """A type as DuckDB and Arrow have it, its values, and how they read by Python's own rules; a nested one has no text but its JSON."""

    duckdb: str
    arrow: pa.DataType
    values: st.SearchStrategy[Any]
    text: Callable[[Any], str] | None
    json: Callable[[Any], Any]
    xml: Callable[[Any], Any]


def scalar(
    name: str, arrow: pa.DataType, values: st.SearchStrategy[Any], text: Callable[[Any], str], to_json: Callable[[Any], Any] | None = None
) -> Kind:
    return Kind(name, arrow, values, text, to_json or text, text)


def same_number(number: float) -> Any:
    return float_text(number) if not math.isfinite(number) else number


def float_text(number: float) -> str:
    return "NaN" if math.isnan(number) else ("-" if number < 0 else "") + "Infinity" if math.isinf(number) else repr(number)


def time_text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")


def in_xml(text: str) -> str:
    return "".join("\ufffd" if ord(character) in FORBIDDEN else character for character in text)


def list_of(kind: Kind) -> Kind:
    def to_json(values: list[Any]) -> Any:
        return [None if value is None else kind.json(value) for value in values]

    def to_xml(values: list[Any]) -> Any:
        return [("item", Nil() if value is None else kind.xml(value)) for value in values] or ""

    values = st.lists(st.none() | kind.values, max_size=3)
    return Kind(f"{kind.duckdb}[]", pa.list_(kind.arrow), values, None, to_json, to_xml)


def struct_of(first: Kind, second: Kind) -> Kind:
    members = {"a b": first, "C": second}

    def to_json(value: dict[str, Any]) -> Any:
        return {name: None if value[name] is None else kind.json(value[name]) for name, kind in members.items()}

    def to_xml(value: dict[str, Any]) -> Any:
        return [(name.replace(" ", "_"), kind.xml(value[name])) for name, kind in members.items() if value[name] is not None] or ""

    return Kind(
        f'STRUCT("a b" {first.duckdb}, "C" {second.duckdb})',
        pa.struct({name: kind.arrow for name, kind in members.items()}),
        st.fixed_dictionaries({name: st.none() | kind.values for name, kind in members.items()}),
        None,
        to_json,
        to_xml,
    )


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(['"', ",", "\r\n", "", " ", "&<>", "\\", "\x00"])
MOMENTS = st.datetimes(datetime.fromisoformat("1920-01-01"), datetime.fromisoformat("2100-01-01"))
SCALARS = [
    scalar("BIGINT", pa.int64(), st.integers(-(2**63), 2**63 - 1), str, int),
    scalar("UTINYINT", pa.uint8(), st.integers(0, 255), str, int),
    scalar("DECIMAL(38,9)", pa.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9), lambda d: f"{d:.9f}", lambda d: d),
    scalar("DOUBLE", pa.float64(), st.floats(), float_text, same_number),
    scalar("BOOLEAN", pa.bool_(), st.booleans(), lambda value: str(value).lower(), bool),
    Kind("VARCHAR", pa.string(), TEXTS, str, str, in_xml),
    scalar("DATE", pa.date32(), st.dates(date(1, 1, 1), date(9999, 12, 31)), date.isoformat),
    scalar("TIMESTAMP", pa.timestamp("us"), MOMENTS, time_text),
    scalar(
        "TIMESTAMPTZ",
        pa.timestamp("us", tz="UTC"),
        MOMENTS.map(lambda found: found.replace(tzinfo=UTC)),
        lambda found: time_text(found.astimezone(PARIS)),
    ),
]
KINDS = st.recursive(
    st.sampled_from(SCALARS), lambda inner: inner.map(list_of) | st.tuples(inner, inner).map(lambda pair: struct_of(*pair)), max_leaves=4
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Kind], list[list[Any]]]:
    kinds = draw(st.lists(KINDS, min_size=1, max_size=4))
    rows = draw(st.lists(st.tuples(*(st.none() | kind.values for kind in kinds)).map(list), max_size=5))
    return kinds, rows


@pytest.mark.parametrize("name", ["csv", "json", "ndjson", "xml", "parquet"])
def test_random_table_is_read_back(name: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    check = {"csv": check_csv, "json": check_json, "ndjson": check_ndjson, "xml": check_xml, "parquet": check_parquet}[name]

    @settings(max_examples=int(60 * CASES))
    @given(tables())
    def run(table: tuple[list[Kind], list[list[Any]]]) -> None:
        kinds, rows = table
        write_table(connection, name, kinds, rows, tmp_path / "file")
        check(tmp_path / "file", kinds, rows)

    run()


def write_table(connection: duckdb.DuckDBPyConnection, name: str, kinds: list[Kind], rows: list[list[Any]], path: Path) -> None:
    arrays = [pa.array([row[index] for row in rows], kind.arrow) for index, kind in enumerate(kinds)]
    connection.register("given", pa.table(arrays, names=[f"v{index}" for index in range(len(kinds))]))
    try:
        cast = ", ".join(f"CAST(v{index} AS {kind.duckdb}) AS v{index}" for index, kind in enumerate(kinds))
        columns = tuple(Column(f"c {index}", kind.duckdb) for index, kind in enumerate(kinds))
        make(name).write(connection, Rows(f"SELECT {cast} FROM given", columns, ZONE), path)
    finally:
        connection.unregister("given")


def check_csv(path: Path, kinds: list[Kind], rows: list[list[Any]]) -> None:
    _, *found = read_csv(path.read_bytes().decode())
    for fields, row in zip(found, rows, strict=True):
        for field, kind, value in zip(fields, kinds, row, strict=True):
            if value is None:
                assert field == Field("")
                continue
            assert field != Field("")
            if kind.text is None:
                assert same(read_json(field.text), kind.json(value))
            elif kind.duckdb == "DOUBLE" and math.isfinite(value):
                assert same(Decimal(field.text), value)
            else:
                assert field.text == kind.text(value)


def check_objects(found: list[dict[str, Any]], kinds: list[Kind], rows: list[list[Any]]) -> None:
    for entry, row in zip(found, rows, strict=True):
        expected = [None if value is None else kind.json(value) for kind, value in zip(kinds, row, strict=True)]
        assert list(entry) == [f"c {index}" for index in range(len(kinds))]
        assert same(list(entry.values()), expected)


def check_json(path: Path, kinds: list[Kind], rows: list[list[Any]]) -> None:
    check_objects(read_json(path.read_bytes().decode()), kinds, rows)


def check_ndjson(path: Path, kinds: list[Kind], rows: list[list[Any]]) -> None:
    text = path.read_bytes().decode()
    check_objects([read_json(line) for line in text.split("\n")[:-1]], kinds, rows)


def check_xml(path: Path, kinds: list[Kind], rows: list[list[Any]]) -> None:
    for entry, row in zip(read_xml(path.read_bytes()), rows, strict=True):
        expected = {f"c_{index}": kind.xml(value) for index, (kind, value) in enumerate(zip(kinds, row, strict=True)) if value is not None}
        assert list(entry) == list(expected)
        assert same_xml(list(entry.values()), list(expected.values()))


def check_parquet(path: Path, kinds: list[Kind], rows: list[list[Any]]) -> None:
    table = read_parquet(path)
    assert table.column_names == [f"c {index}" for index in range(len(kinds))]
    for index, kind in enumerate(kinds):
        assert table.schema.types[index] == kind.arrow
        assert same(table.column(index).to_pylist(), [row[index] for row in rows])


def same(found: Any, expected: Any) -> bool:
    """Equal through all levels; a JSON number is a float where that float prints so."""
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        return isinstance(found, dict) and found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, float):
        number = float(found)
        return math.isnan(number) if math.isnan(expected) else number == expected and math.copysign(1, number) == math.copysign(1, expected)
    if isinstance(expected, Decimal):
        return isinstance(found, Decimal | int) and found == expected
    return type(found) is type(expected) and bool(found == expected)


def same_xml(found: Any, expected: Any) -> bool:
    if isinstance(expected, list | tuple):
        return isinstance(found, list | tuple) and len(found) == len(expected) and all(map(same_xml, found, expected))
    if found == expected:
        return True
    try:
        return float(found) == float(expected)
    except (TypeError, ValueError):
        return False
