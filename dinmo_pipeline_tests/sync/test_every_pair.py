"""Each value of each type after each other one: what Python tells apart is a change, in whole snapshots and in patches; all else is none.

One table has a row for each ordered pair: what it said before, and what it says now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from dinmo_pipeline.delta.contract import Contract, KeyColumn, SentColumn
from dinmo_pipeline.delta.export import Comparison, Snapshot
from dinmo_pipeline.engines.duckdb import snapshot_writer as keeping
from dinmo_pipeline.engines.duckdb.differences import diff_sql as sql
from dinmo_pipeline.engines.duckdb.differences import key_ranges
from dinmo_pipeline.engines.duckdb.differences.diff import Changes
from dinmo_pipeline.engines.duckdb.rows import keys_are_single
from dinmo_pipeline.engines.duckdb.session import Source
from dinmo_pipeline.engines.duckdb.snapshot_writer import SnapshotFiles
from dinmo_pipeline.engines.duckdb.tables import table_columns
from dinmo_pipeline.errors import DataError
from dinmo_pipeline.project.specs import RunType, SyncMode
from dinmo_pipeline.sync.backends.local import LocalSnapshots

from .every_value import Values, every_value

EVERY_VALUE = every_value()


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        opened.execute("SET TimeZone = 'Europe/Paris'")
        yield opened


@pytest.fixture(autouse=True)
def patches_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LARGEST_PATCH", 3)


class Room:
    """A table `t`, and its snapshots."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self.connection = connection
        self.snapshots = LocalSnapshots(folder)
        self.kept = 0

    def keep(self, query: str, earlier: Snapshot | None, *, whole: bool = False) -> Snapshot:
        """Make the table, whose first column is its key, and keep it."""
        self.connection.execute(f"CREATE OR REPLACE TABLE t AS {query}")
        columns = table_columns(self.connection, "t")
        sent = tuple(SentColumn(column.name, column.name, column.type) for column in columns)
        key = (KeyColumn(columns[0].name, columns[0].type),)
        contract = Contract("models.t", key, RunType.FULL_THEN_DELTA, SyncMode.DIFFERENCE, "here", sent)
        self.kept += 1
        source = Source(self.connection, "t", columns, self.snapshots)
        kept = source.keep(contract, f"{self.kept}.parquet", earlier=earlier, whole=whole)
        assert (kept.whole is None) == (whole or earlier is None)
        return kept

    def changed(self, current: Snapshot, since: Snapshot) -> tuple[set[object], set[object], set[object]]:
        """The first columns of the rows that were added, updated and removed."""
        self._drop()
        Changes(self.connection, Comparison(current.contract, current, since, (since,)), SnapshotFiles(self.snapshots), table="")
        queries = (f"{sql.CHANGED} WHERE is_added", f"{sql.CHANGED} WHERE NOT is_added", sql.REMOVED)
        added, updated, removed = (
            {row[0] for row in self.connection.execute(f"SELECT CAST(v0 AS VARCHAR) FROM {each}").fetchall()} for each in queries
        )
        return added, updated, removed

    def lost(self, current: Snapshot) -> list[tuple[str, ...]]:
        """Rows of the table that the snapshot does not give back as they are, to the last digit and sign, and in their type."""
        rows = sql.all_rows_query(current.contract, SnapshotFiles(self.snapshots).rows(current), patched=current.whole is not None)
        described = [row[1] for row in self.connection.execute(f"DESCRIBE {rows}").fetchall()]
        assert described == [column.type for column in current.contract.columns]
        texts = "CAST(columns(*) AS VARCHAR)"
        of_table = f"SELECT {texts} FROM t"
        return self.connection.execute(f"({of_table} EXCEPT ALL SELECT {texts} FROM ({rows})) LIMIT 5").fetchall()

    def _drop(self) -> None:
        for name in (sql.CHANGED, sql.REMOVED):
            self.connection.execute(f"DROP TABLE IF EXISTS {name}")


def make_values(connection: duckdb.DuckDBPyConnection, values: Values) -> None:
    selects = " UNION ALL ".join(f"SELECT {number} AS i, {text} AS v" for number, (text, _) in enumerate(values))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE given AS {selects}")


@pytest.mark.parametrize("type_text", EVERY_VALUE, ids=lambda text: text[:60])
def test_change_between_any_two_values_is_found_and_no_other(connection: duckdb.DuckDBPyConnection, tmp_path: Path, type_text: str) -> None:
    values = EVERY_VALUE[type_text]
    make_values(connection, values)
    many = len(values)
    pairs = f"SELECT a.i * {many} + b.i AS id, {{}}.v AS v FROM given AS a, given AS b ORDER BY id"
    unlike = {str(a * many + b) for a in range(many) for b in range(many) if values[a][1] != values[b][1]}
    room = Room(connection, tmp_path)

    first = room.keep(pairs.format("a"), None)
    assert room.lost(first) == []
    patch = room.keep(pairs.format("b"), first)
    assert room.changed(patch, first) == (set(), unlike, set()), "by the patch"
    assert room.changed(replace(patch, since=None), first) == (set(), unlike, set()), "by the rows of a patch and a whole snapshot"
    again = room.keep(pairs.format("a"), patch)
    assert room.changed(again, patch) == (set(), unlike, set()), "by a patch upon a patch"
    assert room.changed(replace(again, since=None), first) == (set(), set(), set()), "there and back"
    whole = room.keep(pairs.format("b"), None)
    assert room.lost(whole) == []
    assert room.changed(whole, first) == (set(), unlike, set()), "by two whole snapshots"
    # A float that is -0.0 now and was 0.0 has not changed, and is not written anew.
    if not any("CAST('-0.0'" in text for text, _ in values):
        room.connection.execute(f"CREATE OR REPLACE TABLE t AS {pairs.format('b')}")
        assert room.lost(patch) == []


@pytest.mark.parametrize("type_text", EVERY_VALUE, ids=lambda text: text[:60])
def test_any_two_values_are_two_keys(connection: duckdb.DuckDBPyConnection, tmp_path: Path, type_text: str) -> None:
    given = EVERY_VALUE[type_text][:-1]
    make_values(connection, given)
    firsts = [row[0] for row in connection.execute("SELECT min(i) FROM given GROUP BY v ORDER BY 1").fetchall()]
    # DuckDB says that a month is thirty days, and a day 24 hours.
    if "INTERVAL" not in type_text:
        assert firsts == [each for each, (_, canon) in enumerate(given) if all(canon != other for _, other in given[:each])]
    values = [given[each] for each in firsts]
    make_values(connection, values)
    room = Room(connection, tmp_path)
    texts = [row[0] for row in connection.execute("SELECT CAST(v AS VARCHAR) FROM given ORDER BY i").fetchall()]
    even, odd = set(texts[::2]), set(texts[1::2])

    first = room.keep("SELECT v AS k, 1 AS x FROM given WHERE i % 2 = 0", None)
    patch = room.keep("SELECT v AS k, 1 AS x FROM given WHERE i % 2 = 1 ORDER BY i DESC", first)
    for current in (patch, replace(patch, since=None)):
        assert room.changed(current, first) == (odd, set(), even)
    both = room.keep("SELECT v AS k, i % 2 AS x FROM given ORDER BY hash(i)", patch)
    assert room.changed(both, patch) == (even, set(), set())
    assert keys_are_single(connection, ["v"], "given")
    for number in (0, len(values) // 2, len(values) - 1):
        with pytest.raises(DataError, match=r"more than one row has the same k, for instance .* \(2 rows\)"):
            room.keep(f"SELECT v AS k, 1 AS x FROM given UNION ALL SELECT v, 1 FROM given WHERE i = {number}", both)


@pytest.mark.parametrize("key", ["CAST(i AS INTEGER)", "'k' || lpad(i::VARCHAR, 9, '0') || chr(39)", "DATE '2020-01-01' + i::INTEGER"])
@pytest.mark.parametrize("order", ["i", "i DESC", "hash(i)"])
def test_ranges_of_keys_lose_no_row(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, order: str
) -> None:
    monkeypatch.setattr(key_ranges, "BLOCK_ROWS", 8192)
    monkeypatch.setattr(key_ranges, "VALUES_AT_ONCE", 2 * 2 * 8192)
    connection.execute("SET preserve_insertion_order = true")
    rows = 122_880 * 2 + 5000
    room = Room(connection, tmp_path)
    told: list[int] = []
    real = key_ranges.key_ranges

    def counted(*arguments: object) -> tuple[str, ...]:
        found = real(*arguments)  # type: ignore[arg-type]
        told.append(len(found))
        return found

    monkeypatch.setattr(keeping, "key_ranges", counted)
    numbers = f"range({rows}) AS r(i)"
    first = room.keep(f"SELECT {key} AS k, i AS x FROM {numbers} WHERE i % 1000 <> 7 ORDER BY {order}", None)
    now = f"SELECT {key} AS k, CASE WHEN i % 1000 = 9 THEN -1 ELSE i END AS x FROM {numbers} WHERE i % 1000 <> 8 ORDER BY {order}"
    patch = room.keep(now, first)

    assert told == [1 if order == "hash(i)" else 16]
    assert [len(found) for found in room.changed(patch, first)] == [len(range(number, rows, 1000)) for number in (7, 9, 8)]
    assert room.changed(patch, first) == room.changed(replace(patch, since=None), first)
    assert room.lost(patch) == []
    for wrong in ("SELECT NULL, 1", f"SELECT {key}, i FROM range(5) AS r(i)", f"SELECT {key}, -1 FROM range(9, 10) AS r(i)"):
        with pytest.raises(DataError, match=r"has no value in k|more than one row has the same k"):
            room.keep(f"SELECT * FROM ({now}) UNION ALL {wrong}", first)


def test_text_with_a_collation_changes_as_any_other(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    room = Room(connection, tmp_path)
    first = room.keep("SELECT 1 AS id, 'a' COLLATE NOCASE AS v", None)
    patch = room.keep("SELECT 1 AS id, 'A' COLLATE NOCASE AS v", first)
    assert room.changed(patch, first) == (set(), {"1"}, set())
    assert room.lost(patch) == []


def test_two_texts_here_have_one_hash(connection: duckdb.DuckDBPyConnection) -> None:
    pairs = "SELECT count(*) FROM given AS a, given AS b WHERE a.i < b.i AND hash(a.v) = hash(b.v)"
    for type_text in ("VARCHAR", "BLOB", "DECIMAL(20,2)", "UUID", "HUGEINT"):
        make_values(connection, EVERY_VALUE[type_text])
        assert (connection.execute(pairs).fetchone() or (0,))[0] > 0, type_text
