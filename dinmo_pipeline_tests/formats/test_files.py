"""What holds for the file of every format: whole or not there, ours alone, and the same bytes for the same rows."""

from __future__ import annotations

import gzip
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_IMODE

import duckdb
import pyarrow as pa
import pytest

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.formats.base import Rows

from .conftest import TEXT_FORMATS, make, rows_of, write
from .readers import read_parquet

each_format = pytest.mark.parametrize("name", FORMATS)
EVERY_WAY = [(name, compression) for name in TEXT_FORMATS for compression in ("none", "gzip", "zstd")] + [("parquet", "zstd")]
each_way = pytest.mark.parametrize(("name", "compression"), EVERY_WAY)
MANY = """
    SELECT i AS k, 'name ' || i AS t, i / 7 AS d, TIMESTAMPTZ '2025-01-01 00:00:00+00' + to_seconds(i) AS z, [i, NULL] AS l
    FROM range(150000) AS r(i)
"""


@each_way
def test_new_file_is_for_its_owner_alone(name: str, compression: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("older")
    path.chmod(0o644)
    make(name, compression=compression).write(connection, rows_of(connection, "SELECT 1 AS a"), path)
    assert S_IMODE(path.stat().st_mode) == 0o600
    assert b"older" not in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@each_way
def test_name_of_the_file_may_have_any_characters(
    name: str, compression: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / 'it\'s a "file" {é} *?.x'
    make(name, compression=compression).write(connection, rows_of(connection, "SELECT 1 AS a"), path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("csv", {}, "a,b\n"),
        ("csv", {"header": False}, ""),
        ("csv", {"line_ending": "\r\n", "quoting": "all"}, '"a","b"\r\n'),
        ("json", {}, "[]\n"),
        ("ndjson", {}, ""),
        ("xml", {}, '<?xml version="1.0" encoding="UTF-8"?>\n<rows>\n</rows>\n'),
    ],
)
def test_file_of_no_rows_is_whole(
    name: str, options: dict[str, str], expected: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = rows_of(connection, "SELECT 1 AS a, 'x' AS b WHERE false")
    assert write(connection, make(name, **options), rows, tmp_path).decode() == expected
    assert gzip.decompress(write(connection, make(name, compression="gzip", **options), rows, tmp_path)).decode() == expected


def test_parquet_of_no_rows_has_its_schema(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    write(connection, make("parquet"), rows_of(connection, "SELECT 1 AS a, 'x' AS b WHERE false"), tmp_path)
    table = read_parquet(tmp_path / "file.parquet")
    assert table.num_rows == 0
    assert table.schema == pa.schema({"a": pa.int32(), "b": pa.string()})


@each_way
def test_same_rows_give_the_same_bytes_on_any_number_of_threads(name: str, compression: str, tmp_path: Path) -> None:
    found = []
    for threads in (1, 2, 5):
        with duckdb.connect(":memory:", config={"threads": threads}) as connection:
            connection.execute("SET preserve_insertion_order = false")
            connection.execute(f"CREATE TABLE many AS FROM ({MANY}) ORDER BY k")
            rows = rows_of(connection, "FROM many")
            found.append(write(connection, make(name, compression=compression), rows, tmp_path))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_compression_is_around_the_whole_file(name: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, f"FROM ({MANY}) LIMIT 50000")
    plain = write(connection, make(name), rows, tmp_path)
    packed = write(connection, make(name, compression="gzip"), rows, tmp_path)
    assert gzip.decompress(packed) == plain
    assert packed[3:8] == b"\x00" * 5, "neither a name nor a time in the header"
    write(connection, make(name, compression="zstd"), rows, tmp_path)
    with pa.CompressedInputStream(pa.OSFile(str(tmp_path / f"file.{name}.zst")), "zstd") as stream:
        assert stream.read() == plain


def test_parts_are_the_whole_in_order(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, f"FROM ({MANY}) ORDER BY k DESC LIMIT 1000")
    whole = write(connection, make("ndjson"), rows, tmp_path)
    parts = [write(connection, make("ndjson"), rows.window(first, 300), tmp_path) for first in range(0, 1000, 300)]
    assert [part.count(b"\n") for part in parts] == [300, 300, 300, 100]
    assert b"".join(parts) == whole


@each_way
def test_query_that_fails_half_way_leaves_nothing(
    name: str, compression: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = rows_of(connection, "SELECT i, CASE WHEN i = 140000 THEN error('broken') ELSE 'x' END AS t FROM range(150000) AS r(i)")
    with pytest.raises(duckdb.Error, match="broken"):
        make(name, compression=compression).write(connection, rows, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@each_way
def test_full_disk_leaves_nothing(name: str, compression: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT md5(i::VARCHAR) AS t FROM range(200000) AS r(i)")
    with at_most(1_000_000), pytest.raises((duckdb.Error, OSError)):
        make(name, compression=compression).write(connection, rows, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_disk_that_fills_up_while_compressing_leaves_nothing(
    name: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gzip.GzipFile, "write", refuse)
    with pytest.raises(OSError, match="No space left"):
        make(name, compression="gzip").write(connection, rows_of(connection, "SELECT 1 AS a"), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@each_way
def test_missing_folder_is_an_error_and_is_not_made(
    name: str, compression: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        make(name, compression=compression).write(connection, rows_of(connection, "SELECT 1 AS a"), tmp_path / "none" / "file")
    assert list(tmp_path.iterdir()) == []


@each_format
@pytest.mark.parametrize("fails", [False, True])
def test_settings_of_the_connection_are_as_before(name: str, fails: bool, tmp_path: Path) -> None:
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'; SET preserve_insertion_order = false")
        query = "SELECT error('broken') AS a" if fails else "SELECT 1 AS a"
        rows = Rows(f"SELECT a AS v0 FROM ({query})", rows_of(connection, "SELECT 1 AS a").columns, "Europe/Paris")
        if fails:
            with pytest.raises(duckdb.Error, match="broken"):
                make(name).write(connection, rows, tmp_path / "file")
        else:
            make(name).write(connection, rows, tmp_path / "file")
        settings = connection.execute("SELECT current_setting('TimeZone'), current_setting('preserve_insertion_order')").fetchone()
    assert settings == ("Asia/Tokyo", False)


def test_character_without_encoding_leaves_nothing(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        make("csv", encoding="latin-1", compression="gzip").write(connection, rows_of(connection, "SELECT '日' AS a"), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: to a writer, a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
