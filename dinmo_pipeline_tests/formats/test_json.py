"""JSON and NDJSON: the frame of the file, and keys as they are."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from .conftest import make, rows_of, write
from .readers import read_json

NAMES = ["last name", 'a"b', "a\\b", "é", "a\nb", "", "A", "a", "\x01", "👩"]


def test_array_has_an_object_a_line(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT i AS a FROM range(2) AS r(i)")
    assert write(connection, make("json"), rows, tmp_path) == b'[\n{"a":0},\n{"a":1}\n]\n'
    assert write(connection, make("ndjson"), rows, tmp_path) == b'{"a":0}\n{"a":1}\n'


def test_keys_are_the_names_in_order(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, f"SELECT {', '.join(map(str, range(len(NAMES))))}", NAMES)
    (found,) = read_json(write(connection, make("json"), rows, tmp_path).decode())
    assert list(found.items()) == list(zip(NAMES, range(len(NAMES)), strict=True))


def test_json_over_several_lines_stands_on_one(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT '{\"a\":\r\n 1}'::JSON AS j, 2 AS k")
    assert write(connection, make("ndjson"), rows, tmp_path) == b'{"j":{"a":   1},"k":2}\n'


def test_lines_are_read_by_polars(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT i AS a, i / 2 AS b, {'c': [i, NULL]} AS d FROM range(1000) AS r(i)")
    write(connection, make("ndjson"), rows, tmp_path)
    found = pl.read_ndjson(tmp_path / "file.ndjson")
    assert found.rows() == [(i, i / 2, {"c": [i, None]}) for i in range(1000)]
