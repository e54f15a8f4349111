"""Parquet's own: the codec of the pages, names as they are, and files that others read."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from .conftest import make, rows_of, write


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("zstd", "ZSTD"), ("snappy", "SNAPPY"), ("gzip", "GZIP"), ("lz4", "LZ4"), ("brotli", "BROTLI"), ("none", "UNCOMPRESSED")],
)
def test_pages_are_compressed_as_asked(kind: str, codec: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    write(connection, make("parquet", compression=kind), rows_of(connection, "SELECT i, 'x' AS t FROM range(10000) AS r(i)"), tmp_path)
    file = pq.ParquetFile(tmp_path / "file.parquet")
    assert {file.metadata.row_group(0).column(index).compression for index in range(2)} == {codec}
    assert file.read().column("i").to_pylist() == list(range(10000))


def test_names_are_kept_as_they_are(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    names = ["last name", 'a"b', "é", "a.b", "select", "1"]
    write(connection, make("parquet"), rows_of(connection, f"SELECT {', '.join('1' for _ in names)}", names), tmp_path)
    assert pq.read_schema(tmp_path / "file.parquet").names == names


def test_sum_of_integers_is_a_number(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    write(connection, make("parquet"), rows_of(connection, "SELECT sum(i) AS total FROM range(10) AS r(i)"), tmp_path)
    found = pl.read_parquet(tmp_path / "file.parquet")
    assert found["total"].to_list() == [45]
    assert found.schema["total"] == pl.Decimal(38, 0)


def test_error_of_the_query_is_not_taken_for_a_large_number(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT CAST(t AS INTEGER) AS i, 1::HUGEINT AS h FROM (VALUES ('1'), ('x')) AS r(t)")
    with pytest.raises(duckdb.ConversionException, match="'x'"):
        make("parquet").write(connection, rows, tmp_path / "file")


def test_union_with_a_member_called_tag_keeps_both(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT union_value(tag := 2)::UNION(tag INTEGER, b VARCHAR) AS u")
    write(connection, make("parquet"), rows, tmp_path)
    assert pq.read_table(tmp_path / "file.parquet").column("u").to_pylist() == [{"_tag": "tag", "tag": 2, "b": None}]
