"""Every type in every format: a value is read back as what it is, by a reader that is not ours, and null is null."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from dinmo_pipeline.errors import DataError

from .conftest import make, rows_of, write
from .readers import Field, read_csv, read_json, read_parquet, read_xml
from .values import VALUES, Raw, Refused, Value

each_value = pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)


def table(value: Value) -> str:
    return f"SELECT * FROM (VALUES (1, CAST({value.sql} AS {value.type})), (2, NULL)) ORDER BY 1"


@each_value
def test_value_in_csv_is_its_text(value: Value, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    data = write(connection, make("csv"), rows_of(connection, table(value), ["k", "v"]), tmp_path)
    header, full, null = read_csv(data.decode())
    assert [field.text for field in header] == ["k", "v"]
    assert same_text(full[1].text, value.text)
    assert null[1] == Field("")
    assert full[1] != null[1]


@each_value
@pytest.mark.parametrize("name", ["json", "ndjson"])
def test_value_in_json_is_exact(name: str, value: Value, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    text = write(connection, make(name), rows_of(connection, table(value), ["k", "v"]), tmp_path).decode()
    found = read_json(text) if name == "json" else [read_json(line) for line in text.removesuffix("\n").split("\n")]
    assert [list(row) for row in found] == [["k", "v"], ["k", "v"]]
    assert same_json(found[0]["v"], value.in_json), found[0]["v"]
    assert found[1]["v"] is None


@each_value
def test_value_in_xml_is_its_text_or_its_parts(value: Value, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    full, null = read_xml(write(connection, make("xml"), rows_of(connection, table(value), ["k", "v"]), tmp_path))
    assert same_text(full["v"], value.in_xml)
    assert null == {"k": "2"}


@each_value
def test_value_in_parquet_has_its_type(value: Value, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, table(value), ["k", "v"])
    if isinstance(value.arrow, Refused):
        with pytest.raises(DataError, match="'v'"):
            make("parquet").write(connection, rows, tmp_path / "file")
        assert list(tmp_path.iterdir()) == []
        return
    write(connection, make("parquet"), rows, tmp_path)
    column = read_parquet(tmp_path / "file.parquet").column("v")
    if value.arrow_type is not None:
        assert column.type == value.arrow_type
    assert column.null_count == 1
    if isinstance(value.arrow, Raw):
        if not pa.types.is_nested(column.type):
            bits = pa.int32() if pa.types.is_date(column.type) else pa.int64()
            assert column.cast(bits).to_pylist() == [value.arrow.number, None]
        return
    assert same_json(column.to_pylist()[0], value.arrow), column


def test_zone_without_usual_offsets_is_written_right(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    cases = {
        "Asia/Kathmandu": "2025-07-01T17:45:00+05:45",
        "America/St_Johns": "2025-07-01T09:30:00-02:30",
        "Pacific/Kiritimati": "2025-07-02T02:00:00+14:00",
        "Africa/Monrovia": "2025-07-01T12:00:00+00:00",
        "UTC": "2025-07-01T12:00:00+00:00",
    }
    for zone, expected in cases.items():
        rows = rows_of(connection, "SELECT TIMESTAMPTZ '2025-07-01 12:00:00+00' AS v", timezone=zone)
        assert write(connection, make("csv", header=False), rows, tmp_path).decode() == expected + "\n"


def test_offset_before_standard_time_keeps_its_seconds(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT TIMESTAMPTZ '1971-01-01 00:00:00+00' AS v", timezone="Africa/Monrovia")
    assert write(connection, make("csv", header=False), rows, tmp_path).decode() == "1970-12-31T23:15:30-00:44:30\n"


def same_text(found: Any, expected: Any) -> bool:
    """Equal; of two numbers in other words (`1e+16`) the same number."""
    if found == expected or not (isinstance(found, str) and isinstance(expected, str)):
        return bool(found == expected)
    try:
        return struct_of(float(found)) == struct_of(float(expected)) and "e" in found
    except ValueError:
        return False


def struct_of(number: float) -> tuple[float, float]:
    return number, math.copysign(1, number)


def same_json(found: Any, expected: Any) -> bool:
    """Equal in value and type, through all levels; NaN is NaN, -0.0 is not 0.0."""
    if isinstance(expected, list | tuple):
        return isinstance(found, list | tuple) and len(found) == len(expected) and all(map(same_json, found, expected))
    if isinstance(expected, dict):
        return isinstance(found, dict) and list(found) == list(expected) and all(same_json(found[key], expected[key]) for key in expected)
    if type(found) is not type(expected):
        return False
    if isinstance(expected, float):
        return math.isnan(found) if math.isnan(expected) else struct_of(found) == struct_of(expected)
    if hasattr(expected, "is_signed") and expected.is_zero():
        return bool(found.is_zero() and found.is_signed() == expected.is_signed())
    return bool(found == expected)
