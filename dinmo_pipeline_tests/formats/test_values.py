"""Every type in every format: a value is read back as what it is, by a reader that is not ours, and null is null."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import duckdb
import pyarrow as pa
import pytest

from dinmo_pipeline.errors import DataError

from .conftest import make, rows_of, write
from .readers import Field, read_csv, read_json, read_parquet, read_xml
from .values import VALUES, Raw, Refused, Value

TYPES = sorted({value.type for value in VALUES})
each_type = pytest.mark.parametrize("kind", TYPES)


def values_of(kind: str, *, in_parquet: bool = False) -> list[Value]:
    return [value for value in VALUES if value.type == kind and not (in_parquet and isinstance(value.arrow, Refused))]


def table(kind: str, values: list[Value]) -> str:
    """The values of one type, one a row, and null after them."""
    lines = ", ".join(f"({index}, CAST({value.sql} AS {kind}))" for index, value in enumerate(values))
    return f"SELECT * FROM (VALUES {lines}, ({len(values)}, NULL)) ORDER BY 1"


@each_type
def test_value_in_csv_is_its_text(kind: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    values = values_of(kind)
    header, *found, null = read_csv(write(connection, make("csv"), rows_of(connection, table(kind, values), ["k", "v"]), tmp_path).decode())
    assert [field.text for field in header] == ["k", "v"]
    for value, fields in zip(values, found, strict=True):
        assert same_text(fields[1].text, value.text), fields
        assert fields[1] != Field("")
    assert null[1] == Field("")


@each_type
@pytest.mark.parametrize("name", ["json", "ndjson"])
def test_value_in_json_is_exact(name: str, kind: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    values = values_of(kind)
    text = write(connection, make(name), rows_of(connection, table(kind, values), ["k", "v"]), tmp_path).decode()
    found = read_json(text) if name == "json" else [read_json(line) for line in text.removesuffix("\n").split("\n")]
    assert all(list(row) == ["k", "v"] for row in found)
    for value, row in zip(values, found[:-1], strict=True):
        assert same(row["v"], value.in_json), (row["v"], value)
    assert found[-1]["v"] is None


@each_type
def test_value_in_xml_is_its_text_or_its_parts(kind: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    values = values_of(kind)
    *found, null = read_xml(write(connection, make("xml"), rows_of(connection, table(kind, values), ["k", "v"]), tmp_path))
    for value, row in zip(values, found, strict=True):
        assert same_text(row["v"], value.in_xml), (row["v"], value)
    assert null == {"k": str(len(values))}


@each_type
def test_value_in_parquet_has_its_type(kind: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    values = values_of(kind, in_parquet=True)
    write(connection, make("parquet"), rows_of(connection, table(kind, values), ["k", "v"]), tmp_path)
    column = read_parquet(tmp_path / "file.parquet").column("v")
    assert column.null_count == 1
    assert column[len(values)].as_py() is None
    for value, scalar in zip(values, column, strict=False):
        assert value.arrow_type in (None, column.type)
        if not isinstance(value.arrow, Raw):
            assert same(scalar.as_py(), value.arrow), (scalar, value)
        else:
            assert scalar.cast(pa.int64()).as_py() == value.arrow.number, value


@pytest.mark.parametrize("value", [value for value in VALUES if isinstance(value.arrow, Refused)], ids=lambda value: value.name)
def test_value_that_parquet_cannot_hold_is_told(value: Value, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, table(value.type, [value]), ["k", "total"])
    reason = "at most 38 digits" if "HUGEINT" in value.type else "is finite and, for its readers, of the years 1 to 9999"
    with pytest.raises(DataError, match=f"column 'total' .*holds .*{reason}; cast the column to VARCHAR"):
        make("parquet").write(connection, rows, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize(
    ("zone", "instant", "expected"),
    [
        # The last of all local mean times, and the first standard time after it.
        ("Africa/Monrovia", "1972-01-07 00:44:29", "1972-01-07T00:44:29+00:00"),
        ("Africa/Monrovia", "1972-01-07 00:44:30", "1972-01-07T00:44:30+00:00"),
        ("Africa/Monrovia", "1971-01-01 00:00:00", "1971-01-01T00:00:00+00:00"),
        ("Europe/Paris", "1900-01-01 00:00:00", "1900-01-01T00:00:00+00:00"),
        ("Europe/Amsterdam", "1937-06-30 00:00:00", "1937-06-30T01:00:00+01:00"),
        ("Asia/Kolkata", "1930-01-01 00:00:00", "1930-01-01T05:30:00+05:30"),
    ],
)
@pytest.mark.parametrize("kind", ["TIMESTAMPTZ", "TIMESTAMPTZ_NS"])
@pytest.mark.parametrize("name", ["csv", "ndjson", "xml"])
def test_offset_with_seconds_is_written_in_utc(
    name: str, kind: str, zone: str, instant: str, expected: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    query = f"SELECT '{instant}+00'::{kind} AS v, ['{instant}+00'::{kind}] AS l"
    text = write(connection, make(name), rows_of(connection, query, timezone=zone), tmp_path).decode()
    assert text.count(expected) == 2, text
    assert datetime.fromisoformat(expected) == datetime.fromisoformat(f"{instant}+00:00")


def test_no_offset_of_a_zone_has_seconds(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    days = [97 * number for number in range(600)]
    instants = "SELECT make_timestamptz(epoch_us(TIMESTAMP '1880-01-01') + i * 97 * 86400000000) AS v FROM range(600) AS r(i)"
    for zone in sorted(available_timezones() - {"localtime"})[::12]:
        lines = write(connection, make("csv", header=False), rows_of(connection, instants, timezone=zone), tmp_path).decode().splitlines()
        moments = [datetime.fromisoformat(line) for line in lines]
        assert moments == [datetime(1880, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in days], zone
        assert all(re.fullmatch(r"[0-9T:-]{19}[+-]\d\d:\d\d", line) for line in lines), zone


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


def same(found: Any, expected: Any) -> bool:
    """Equal in value and type, through all levels; NaN is NaN, -0.0 is not 0.0."""
    if isinstance(expected, list | tuple):
        return isinstance(found, list | tuple) and len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        return isinstance(found, dict) and list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if type(found) is not type(expected):
        return False
    if isinstance(expected, float):
        return math.isnan(found) if math.isnan(expected) else struct_of(found) == struct_of(expected)
    if hasattr(expected, "is_signed") and expected.is_zero():
        return bool(found.is_zero() and found.is_signed() == expected.is_signed())
    return bool(found == expected)
