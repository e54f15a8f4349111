"""Parquet's own: the codec of the pages, names as they are, one schema whatever the rows, and files that others read."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from uuid import UUID

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from dinmo_pipeline.errors import DataError

from .conftest import make, rows_of, write
from .readers import read_parquet
from .values import VALUES, Refused


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


# DuckDB does not write these to Parquet and read them as they were; snapshots have them as text, or not at all.
NOT_STORED = {
    *("TUPLE(INTEGER, VARCHAR)", "UNION(num INTEGER, str VARCHAR)", "VARIANT", "INTERVAL", "INTERVAL[]", "MAP(DATE, INTERVAL)"),
    *("STRUCT(i INTERVAL, h HUGEINT)[]", "HUGEINT", "UHUGEINT", "HUGEINT[]"),
}


def schema_text(path: Path) -> str:
    """Everything that the footer says of the columns: repetition, physical and logical types, names and ids, through all levels."""
    return str(pq.ParquetFile(path).schema).split("\n", 1)[1]


@pytest.mark.parametrize("kind", sorted({value.type for value in VALUES}))
def test_schema_is_one_whatever_the_rows(kind: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    values = [f"CAST({value.sql} AS {kind})" for value in VALUES if value.type == kind and not isinstance(value.arrow, Refused)]
    null = f"CAST(NULL AS {kind})"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE full_of AS SELECT unnest([{', '.join(values)}]) AS v")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE mixed AS FROM full_of UNION ALL SELECT {null}")
    queries = {
        "values": "FROM full_of",
        "mixed": "FROM mixed",
        "empty": "FROM mixed LIMIT 0",
        "empty of values": "FROM full_of WHERE false",
        "null": f"SELECT {null} AS v FROM range(3)",
        "one": f"SELECT {values[0]} AS v",
        "alike": f"SELECT {values[0]} AS v FROM range(5)",
        "window": "FROM full_of LIMIT 1 OFFSET 0",
        "sorted": "SELECT v FROM full_of WHERE v IS NOT NULL ORDER BY rowid",
    }
    schemas = {}
    for name, query in queries.items():
        path = tmp_path / f"{name}.parquet"
        make("parquet").write(connection, rows_of(connection, query), path)
        schemas[name] = schema_text(path)
    assert len(set(schemas.values())) == 1, schemas
    # The root is, and so is the key of a map.
    assert schemas["values"].count("required") == 1 + kind.count("MAP(")
    if kind not in NOT_STORED:
        connection.execute(f"COPY (FROM full_of) TO '{tmp_path / 'stored'}' (FORMAT parquet)")
        stored = rows_of(connection, f"SELECT CAST(v AS {kind}) AS v FROM read_parquet('{tmp_path / 'stored'}')")
        path = tmp_path / "of stored rows.parquet"
        make("parquet").write(connection, stored, path)
        assert schema_text(path) == schemas["values"]


def test_folder_of_files_with_and_without_nulls_is_read_as_one(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    columns = (
        "i::INTEGER AS i, 'x' || i AS t, (i / 4)::DECIMAL(9,2) AS d, [i] AS l, {'a': i} AS s, MAP {i: i} AS m, TIMESTAMPTZ 'epoch' AS at"
    )
    for number, query in enumerate(
        (
            f"SELECT {columns} FROM range(3) AS r(i)",
            f"SELECT {columns} FROM range(0) AS r(i)",
            "SELECT NULL::INTEGER, NULL::VARCHAR, NULL::DECIMAL(9,2), NULL::BIGINT[], "
            "NULL::STRUCT(a BIGINT), NULL::MAP(BIGINT, BIGINT), NULL::TIMESTAMPTZ",
            f"SELECT {columns} FROM range(3) AS r(i)",
        )
    ):
        names = ["i", "t", "d", "l", "s", "m", "at"]
        make("parquet").write(connection, rows_of(connection, query, names), tmp_path / f"{number}.parquet")
    table = ds.dataset(tmp_path).to_table()
    assert table.num_rows == 7
    assert [field.nullable for field in table.schema] == [True] * 7
    assert pl.read_parquet(tmp_path / "*.parquet").height == 7
    assert pl.scan_parquet(tmp_path / "*.parquet").filter(pl.col("i") > 0).collect().height == 4
    assert pa.concat_tables([pq.read_table(tmp_path / f"{number}.parquet") for number in range(4)]).num_rows == 7


def test_json_may_keep_the_type_of_parquet(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, """SELECT '{"a": 1}'::JSON AS j, ['[1, "x"]'::JSON, NULL] AS l""")
    for form, logical in (("text", "String"), ("native", "JSON")):
        write(connection, make("parquet", json_columns=form), rows, tmp_path)
        file = pq.ParquetFile(tmp_path / "file.parquet")
        assert [str(file.schema.column(number).logical_type) for number in (0, 1)] == [logical, logical]
        assert pl.read_parquet(tmp_path / "file.parquet")["j"].dtype == (pl.String if form == "text" else pl.Binary)
        assert read_parquet(tmp_path / "file.parquet").to_pylist() == [{"j": '{"a": 1}', "l": ['[1, "x"]', None]}]


def test_uuid_and_time_may_keep_the_types_of_parquet(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    uuid = "00112233-4455-6677-8899-aabbccddeeff"
    query = f"SELECT '{uuid}'::UUID AS u, TIME '23:59:59.999999' AS t, [TIME '12:00:00'] AS l, '12:00:00.123456789'::TIME_NS AS n"
    rows = rows_of(connection, query)
    write(connection, make("parquet", uuid="native", time="native"), rows, tmp_path)
    table = read_parquet(tmp_path / "file.parquet")

    assert [field.type for field in table.schema] == [pa.uuid(), pa.time64("us"), pa.list_(pa.time64("us")), pa.time64("ns")]
    assert table.drop_columns("n").to_pylist() == [{"u": UUID(uuid), "t": time(23, 59, 59, 999999), "l": [time(12)]}]
    write(connection, make("parquet"), rows, tmp_path)
    assert {str(field.type) for field in read_parquet(tmp_path / "file.parquet").schema} == {"string", "list<element: string>"}


@pytest.mark.parametrize("value", ["TIME '24:00:00'", "[TIME '12:00:00', '24:00:00']", "'24:00:00'::TIME_NS"])
def test_end_of_a_day_is_refused_where_a_time_keeps_its_type(value: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, f"SELECT {value} AS v", ["closes"])
    with pytest.raises(
        DataError, match=r"column 'closes' .* holds \[?.*24:00:00.*, and a Parquet time ends before 24:00:00; cast the column"
    ):
        make("parquet", time="native").write(connection, rows, tmp_path / "file")
