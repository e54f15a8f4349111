"""Every pair of values of every type, before and after: each change is found, and nothing else."""

from __future__ import annotations

from decimal import Decimal, localcontext
from pathlib import Path

import duckdb
import pytest

from dinmo_pipeline.delta.contract import Contract, KeyColumn, SentColumn
from dinmo_pipeline.delta.export import Change
from dinmo_pipeline.engines.duckdb.session import Source
from dinmo_pipeline.engines.duckdb.tables import table_columns
from dinmo_pipeline.errors import DataError
from dinmo_pipeline.project.specs import RunType, SyncMode
from dinmo_pipeline.sync.backends.local import LocalSnapshots
from dinmo_pipeline_tests.sync.test_deltas import NUMBER_TEXTS, NUMBERS, VALUES, Desk, Step, connection

__all__ = ["connection"]

TYPES = [*VALUES, *NUMBERS]


def literals(type_text: str) -> list[str]:
    if type_text in NUMBERS:
        return [*(f"TRY_CAST('{text}' AS {type_text})" for text in NUMBER_TEXTS), f"CAST(NULL AS {type_text})"]
    return [f"CAST({text} AS {type_text})" for text in [*VALUES[type_text], "NULL"]]


def step(key_type: str, type_text: str, rows: dict[str, str], mapping: list[tuple[str, str]] | None = None) -> Step:
    """A table of two columns; keys and values are SQL."""
    types = {"k": key_type, "v": type_text}
    return Step(
        types, [{"k": f"CAST({key} AS {key_type})", "v": value} for key, value in rows.items()], mapping or [("k", "k"), ("v", "v")]
    )


@pytest.mark.parametrize("type_text", TYPES)
def test_change_between_any_two_values_is_found_and_no_other(connection: duckdb.DuckDBPyConnection, tmp_path: Path, type_text: str) -> None:
    values = literals(type_text)
    texts = [connection.execute(f"SELECT CAST({value} AS VARCHAR)").fetchall()[0][0] for value in values]
    pairs = [(before, after) for before in range(len(values)) for after in range(len(values))]
    desk = Desk(connection, tmp_path, SyncMode.DIFFERENCE, "csv", ("k",))
    desk.sync(step("INTEGER", type_text, {str(index): values[before] for index, (before, _) in enumerate(pairs)}))
    desk.sync(step("INTEGER", type_text, {str(index): values[after] for index, (_, after) in enumerate(pairs)}))
    changed = [index for index, (before, after) in enumerate(pairs) if texts[before] != texts[after]]
    assert desk.counts.updated == len(changed)
    assert (desk.counts.added, desk.counts.removed) == (0, 0)


@pytest.mark.parametrize("after", NUMBERS)
@pytest.mark.parametrize("before", NUMBERS)
def test_number_in_another_type_changes_when_its_value_does(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, before: str, after: str
) -> None:
    desk = Desk(connection, tmp_path, SyncMode.DIFFERENCE, "csv", ("k",))
    old, new = literals(before), literals(after)
    pairs = [(one, other) for one in range(len(old)) for other in range(len(new))]
    desk.sync(step("INTEGER", before, {str(index): old[one] for index, (one, _) in enumerate(pairs)}))
    desk.sync(step("INTEGER", after, {str(index): new[other] for index, (_, other) in enumerate(pairs)}))
    old_values, new_values = ([connection.execute(f"SELECT {text}").fetchall()[0][0] for text in texts] for texts in (old, new))
    assert desk.counts.updated == sum(not one_number(old_values[one], new_values[other]) for one, other in pairs)


def one_number(one: object, other: object) -> bool:
    """Whether two values are one number; a float and an exact number are when each is what the other becomes in its type."""
    if one is None or other is None or isinstance(one, float) == isinstance(other, float):
        return one == other
    exact, floating = (Decimal(str(other)), one) if isinstance(one, float) else (Decimal(str(one)), other)
    assert isinstance(floating, float)
    with localcontext() as context:
        context.prec = 80
        return float(exact) == floating and Decimal(floating).quantize(exact) == exact


@pytest.mark.parametrize(
    ("before", "after"),
    [("DECIMAL(2,2)", "DECIMAL(5,2)"), ("BIGINT", "HUGEINT"), ("TINYINT", "DECIMAL(38,10)"), ("HUGEINT", "DECIMAL(5,2)")],
)
def test_key_in_another_exact_type_is_the_same_key(connection: duckdb.DuckDBPyConnection, tmp_path: Path, before: str, after: str) -> None:
    desk = Desk(connection, tmp_path, SyncMode.DIFFERENCE, "csv", ("k",))
    numbers = ["0", "0.5", "-0.25"] if before == "DECIMAL(2,2)" else ["0", "1", "-1", "10", "100"]
    for key_type in (before, after):
        desk.sync(step(key_type, "INTEGER", dict.fromkeys(numbers, "1")))
    assert (desk.counts.added, desk.counts.updated, desk.counts.removed) == (0, 0, 0)


def test_removed_row_keeps_its_key_under_a_new_name(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    desk = Desk(connection, tmp_path, SyncMode.DIFFERENCE, "csv", ("k",))
    desk.sync(step("INTEGER", "VARCHAR", {"1": "'a'", "2": "'b'"}))
    desk.key_names = ["key"]
    desk.sync(step("INTEGER", "VARCHAR", {"1": "'a'"}, [("k", "key"), ("v", "v")]))
    assert desk.counts.removed == 1
    assert len(desk.copy) == 1


@pytest.mark.parametrize(("before", "key", "after", "new"), [("DECIMAL(5,2)", "1.50", "BIGINT", "2"), ("BIGINT", "300", "TINYINT", "44")])
def test_inserted_key_that_todays_type_cannot_hold_is_no_other_key(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, before: str, key: str, after: str, new: str
) -> None:
    desk = Desk(connection, tmp_path, SyncMode.INSERT, "csv", ("k",))
    desk.sync(step(before, "INTEGER", {key: "1", "7": "1"}))
    desk.sync(step(before, "INTEGER", {"7": "1"}))
    desk.sync(step(after, "INTEGER", {"7": "1"}))
    desk.sync(step(after, "INTEGER", {"7": "1", new: "1"}))
    assert desk.counts.added == 1


def test_snapshot_of_a_type_that_cannot_be_kept_says_so(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    desk = Desk(connection, tmp_path, SyncMode.DIFFERENCE, "csv", ("k",))
    with pytest.raises(Exception, match="which a snapshot cannot hold"):
        desk.sync(step("INTEGER", "UNION(a INTEGER, b VARCHAR)", {"1": "NULL"}))


def test_rows_of_a_change_come_in_the_order_of_the_key(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    desk = Desk(connection, tmp_path, SyncMode.UPSERT, "csv", ("k",))
    desk.sync(step("INTEGER", "INTEGER", {}))
    desk.sync(step("INTEGER", "INTEGER", {str(number * 7919 % 5000): "1" for number in range(5000)}))
    keys = [int(row["k"][1]) for row in desk.files[Change.CHANGED]]
    assert keys == sorted(keys)


@pytest.mark.parametrize("mode", [SyncMode.DIFFERENCE, SyncMode.UPSERT, SyncMode.INSERT])
@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("(1, 'a'), (2, 'b'), (2, 'b'), (3, 'c')", r"same k, for instance 2 \(2 rows\)"),
        ("(2, 'b'), (2, 'b'), (3, 'c')", r"same k, for instance 2 \(2 rows\)"),
        ("(1, 'a'), (2, 'b'), (2, 'new'), (3, 'c')", r"same k, for instance 2 \(2 rows\)"),
        ("(1, 'a'), (2, 'new'), (2, 'new'), (3, 'c')", r"same k, for instance 2 \(2 rows\)"),
        ("(1, 'a'), (5, 'e'), (5, 'e')", r"same k, for instance 5 \(2 rows\)"),
        ("(1, 'a'), (9, 'left'), (9, 'left')", r"same k, for instance 9 \(2 rows\)"),
        ("(1, 'a'), (NULL, 'b'), (3, 'c')", "1 row has no value in k"),
    ],
)
def test_bad_key_stops_a_sync_that_would_keep_a_patch(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, mode: SyncMode, rows: str, says: str
) -> None:
    desk = Desk(connection, tmp_path, mode, "csv", ("k",))
    # Key 9 has left: insert keeps it all the same.
    desk.sync(step("INTEGER", "VARCHAR", {"1": "'a'", "9": "'left'", "2": "'b'", "3": "'c'"}))
    desk.sync(step("INTEGER", "VARCHAR", {"1": "'a'", "2": "'b'", "3": "'c'"}))
    contract, before = desk.base.contract if desk.base is not None else None, sorted(tmp_path.iterdir())
    assert contract is not None
    assert desk.patches == 1
    connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT * FROM (VALUES {rows}) AS rows(k, v)")
    source = Source(connection, "t", table_columns(connection, "t"), LocalSnapshots(tmp_path))
    with pytest.raises(DataError, match=says):
        source.keep(contract, "next.parquet", earlier=desk.base, whole=False)
    assert sorted(tmp_path.iterdir()) == before


def test_patch_grows_until_the_snapshot_is_written_whole_again(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    desk = Desk(connection, tmp_path, SyncMode.UPSERT, "csv", ("k",))
    whole = []
    for changed in range(12):
        desk.sync(step("INTEGER", "INTEGER", {str(key): str(changed if key == changed else -1) for key in range(40)}))
        assert desk.base is not None
        whole.append(desk.base.whole is None)
    # One row changes a sync, and the one that changed before changes back: more than five in forty is an eighth.
    assert [number for number, is_whole in enumerate(whole) if is_whole] == [0, 6]


def test_patch_is_small_when_little_changed(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    desk = Desk(connection, tmp_path, SyncMode.UPSERT, "ndjson", ("k",))
    for last in ("'z'", "'zz'"):
        desk.sync(step("INTEGER", "VARCHAR", {str(key): f"'{key * 7919}'" for key in range(2000)} | {"2000": last}))
    assert desk.base is not None
    assert desk.base.whole is not None
    sizes = [(tmp_path / file.path).stat().st_size for file in desk.base.files]
    assert sizes[0] < sizes[1] / 4


@pytest.mark.parametrize("rows", [10, 50_000])
@pytest.mark.parametrize("order", ["n", "-n", "n % 100, n", "hash(n)"])
@pytest.mark.parametrize(
    "columns", ["n AS k0", "n // 100 AS k0, n % 100 AS k1", "chr(97 + (n % 26)::INTEGER) || n AS k0, {'a': n, 'b': NULL} AS k1"]
)
def test_repeated_key_is_found_wherever_it_stands(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, columns: str, order: str, rows: int
) -> None:
    def check(numbers: str) -> None:
        connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT {columns} FROM ({numbers}) AS t(n) ORDER BY {order}")
        found = table_columns(connection, "t")
        contract = Contract(
            "models.t",
            tuple(KeyColumn(column.name, column.type) for column in found),
            RunType.FULL_ONLY,
            SyncMode.SNAPSHOT,
            "here",
            tuple(SentColumn(column.name, column.name, column.type) for column in found),
        )
        Source(connection, "t", found, LocalSnapshots(tmp_path)).check_key(contract)

    check(f"SELECT * FROM range({rows})")
    for repeated in (0, rows // 2, rows - 1):
        with pytest.raises(DataError, match=r"\(2 rows\)"):
            check(f"SELECT * FROM range({rows}) UNION ALL SELECT {repeated}")
