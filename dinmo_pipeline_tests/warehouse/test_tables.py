"""Tables of the warehouse: swapped whole or not at all, and read by others meanwhile."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dinmo_pipeline.engines.duckdb.connection import attached, configure, open_warehouse
from dinmo_pipeline.engines.duckdb.tables import refresh_table, table_sql
from dinmo_pipeline.errors import DataError, StateError
from dinmo_pipeline.project.specs import QuerySettings, TableSpec
from dinmo_pipeline.project.table_refs import TableRef
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal
from dinmo_pipeline_tests.servers.disks import small_folder
from dinmo_pipeline_tests.sync.disk import forking
from dinmo_pipeline_tests.waiting import PATIENCE_S, wait_until


def spec(sql: str, *key: str) -> TableSpec:
    return TableSpec(TableRef("models", "people"), key or ("id",), sql, ())


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path / "warehouse.duckdb", QuerySettings(tmp_path, "Europe/Paris")) as connection:
        refresh_table(connection, spec("SELECT 1 AS id"))
        yield connection


@pytest.mark.parametrize(
    ("sql", "message"),
    [("SELECT 1 AS other", "no column id"), ("SELECT 'x'::INTEGER AS id", "its query failed"), ("SELECT", "its query failed")],
)
def test_query_that_fails_leaves_the_table_as_it_was(warehouse: duckdb.DuckDBPyConnection, sql: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        refresh_table(warehouse, spec(sql))
    assert warehouse.execute("SELECT * FROM models.people").fetchall() == [(1,)]


@pytest.mark.parametrize("rows", [300_000, 3_000_000])
def test_full_disk_is_told_in_words_and_leaves_the_table_as_it_was(tmp_path: Path, rows: int) -> None:
    with small_folder(tmp_path / "small", megabytes=3) as folder:
        path = folder / "warehouse.duckdb"
        with open_warehouse(path, QuerySettings(folder, "UTC")) as connection:
            refresh_table(connection, spec("SELECT 1 AS id"))

        # The fewer rows fit until they are committed, the more do not while they are made.
        with open_warehouse(path, QuerySettings(folder, "UTC")) as connection, pytest.raises((DataError, StateError)) as caught:
            refresh_table(connection, spec(f"SELECT range AS id, hash(range)::VARCHAR || hash(range + 1) AS text FROM range({rows})"))

        assert "refreshing models.people" in str(caught.value)
        assert "No space left on device" in str(caught.value)
        with open_warehouse(path, QuerySettings(folder, "UTC")) as connection:
            assert connection.execute("SELECT * FROM models.people").fetchall() == [(1,)]


def test_refresh_tells_rows_columns_and_a_preview(warehouse: duckdb.DuckDBPyConnection) -> None:
    refreshed = refresh_table(warehouse, spec('SELECT range AS id, NULL::DATE AS "odd ""name" FROM range(9)'), preview_rows=5)
    assert refreshed.rows == 9
    assert [(column.name, column.type) for column in refreshed.columns] == [("id", "BIGINT"), ('odd "name', "DATE")]
    assert refreshed.preview[0] == ("0", "")
    assert len(refreshed.preview) == 5


def test_query_runs_in_the_projects_time_zone_and_folder(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("id\n7\n")
    refresh_table(warehouse, spec("SELECT id, TIMESTAMPTZ '2025-07-01 00:00:00+00' :: VARCHAR AS t FROM 'data.csv'"))
    assert warehouse.execute("SELECT * FROM models.people").fetchall() == [(7, "2025-07-01 02:00:00+02")]


def test_tables_of_a_duckdb_file_are_read_as_the_readme_says(warehouse: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"FROM read_duckdb\(.*?\)", readme)
    with duckdb.connect(tmp_path / "crm.duckdb") as crm:
        crm.execute("CREATE TABLE customers AS SELECT 7 AS id; CREATE TABLE others AS SELECT 8 AS id")
    refresh_table(warehouse, spec(f"SELECT * {source}"))
    assert warehouse.execute("SELECT * FROM models.people").fetchall() == [(7,)]


@pytest.mark.parametrize("name", ["plain", 'with "quotes"', "select", "é ; DROP TABLE x --", ""])
def test_name_is_quoted_whatever_it_has(name: str) -> None:
    with duckdb.connect() as connection:
        if name:
            connection.execute(f"CREATE TABLE t AS SELECT 1 AS {quote_identifier(name)}")
            assert connection.execute("DESCRIBE t").fetchall()[0][0] == name
        assert connection.execute(f"SELECT {quote_literal(name)}").fetchall() == [(name,)]


def test_warehouse_that_is_not_there_is_a_state_error(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.duckdb"
    with duckdb.connect() as connection, pytest.raises(StateError, match="refresh the models first"), attached(connection, nothing):
        raise AssertionError


def test_file_that_is_no_warehouse_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "warehouse.duckdb").write_bytes(b"not a database, and longer than its header would be" * 99)
    with (
        pytest.raises(StateError, match="working in the warehouse"),
        open_warehouse(tmp_path / "warehouse.duckdb", QuerySettings(tmp_path, "UTC")),
    ):
        raise AssertionError


def test_readers_wait_for_a_writer_and_see_the_whole_of_what_it_wrote(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    writers = [forking().Process(target=_write, args=(tmp_path, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + 300
    seen = set()
    while any(writer.is_alive() for writer in writers) and time.monotonic() < deadline:
        if (tmp_path / "warehouse.duckdb").exists():
            with duckdb.connect() as connection:
                configure(connection, QuerySettings(tmp_path, "UTC"))
                with attached(connection, tmp_path / "warehouse.duckdb"):
                    table = table_sql(TableRef("models", "people"), catalog="warehouse")
                    try:
                        seen.add(tuple(connection.execute(f"SELECT count(*), count(DISTINCT n) FROM {table}").fetchone() or ()))
                    except duckdb.CatalogException:
                        continue
    assert {writer.exitcode for writer in writers} == {0}
    assert seen <= {(1000, 1)}, "rows of two writers, or a part of one's"


def _write(folder: Path, number: int) -> None:
    for _ in range(5):
        with open_warehouse(folder / "warehouse.duckdb", QuerySettings(folder, "UTC")) as connection:
            refresh_table(connection, spec(f"SELECT range AS id, {number} AS n FROM range(1000)"))


def test_queries_have_a_limit_of_memory(tmp_path: Path) -> None:
    def limit(wanted: str | None) -> str:
        with open_warehouse(tmp_path / "warehouse.duckdb", QuerySettings(tmp_path, "UTC", wanted)) as connection:
            (found,) = connection.execute("SELECT current_setting('memory_limit')").fetchone() or ("",)
        return str(found)

    with duckdb.connect() as plain:
        (threads,) = plain.execute("SELECT current_setting('threads')").fetchone() or (0,)
    assert limit("700MiB") == "700.0 MiB"
    assert limit(None) == limit(f"{600 * threads}MiB"), "this machine has more than that"


def test_query_that_needs_more_memory_than_it_may_have_is_told_how(tmp_path: Path) -> None:
    settings = QuerySettings(tmp_path, "UTC", "50MB")
    with (
        pytest.raises(StateError, match=r"Raise memory_limit in \[tool.dinmo\]"),
        open_warehouse(tmp_path / "w.duckdb", settings) as connection,
    ):
        connection.execute("SELECT list(i::VARCHAR || repeat('x', 100)) FROM range(2000000) t(i)").fetchone()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM '{file}'",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "ATTACH '{folder}/other.duckdb'",
        "INSTALL httpfs",
        "INSTALL h3 FROM community",
        "LOAD httpfs",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
        "SET enable_external_access = true",
        "SET memory_limit = '1TB'",
        "SET lock_configuration = false",
        "RESET enable_external_access",
    ],
)
def test_isolated_warehouse_reaches_nothing_but_its_tables(sql: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    path, settings = tmp_path / "warehouse.duckdb", QuerySettings(tmp_path, "UTC")
    with open_warehouse(path, settings) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    with open_warehouse(path, settings, isolated=True) as connection:
        with pytest.raises(duckdb.Error):
            connection.execute(sql.format(file=file, folder=tmp_path))
        assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
    assert sorted(each.name for each in tmp_path.iterdir() if each.suffix != ".lock") == ["secret.csv", "warehouse.duckdb"]
    # Of the next one it is not.
    with open_warehouse(path, settings) as connection:
        assert connection.execute(f"SELECT * FROM read_csv({quote_literal(str(file))})").fetchall() == [(1,)]


def test_isolated_warehouse_still_spills(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "warehouse.duckdb", QuerySettings(tmp_path, "UTC", "100MiB"), isolated=True) as connection:
        connection.execute("CREATE TEMP TABLE big AS SELECT range AS a, repeat('x', 100) || range AS b FROM range(3_000_000)")
        assert connection.execute("SELECT a FROM big ORDER BY b DESC LIMIT 1 OFFSET 2_999_999").fetchall() == [(0,)]


def test_an_interrupt_in_the_middle_of_a_query_is_an_interrupt(tmp_path: Path) -> None:
    program = """
from pathlib import Path
from dinmo_pipeline.project.specs import QuerySettings
from dinmo_pipeline.engines.duckdb.connection import open_warehouse
try:
    with open_warehouse(Path("warehouse.duckdb"), QuerySettings(Path(), "UTC")) as connection:
        connection.execute("COPY (SELECT *, repeat('x', 50) FROM range(50_000_000)) TO 'rows.csv' (USE_TMP_FILE false)")
except BaseException as error:
    print(type(error).__name__)
"""
    writing = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    rows = tmp_path / "rows.csv"
    wait_until(lambda: rows.exists() and rows.stat().st_size > 0, "the first rows of the query")
    writing.send_signal(signal.SIGINT)
    said, _ = writing.communicate(timeout=PATIENCE_S)
    assert said == "KeyboardInterrupt\n"
