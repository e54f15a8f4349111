"""Random tables and edits, DuckDB, real files in all formats and modes: the last full file with the deltas applied is the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dinmo_pipeline.delta.contract import Contract, KeyColumn, SentColumn
from dinmo_pipeline.delta.export import FILES_OF_MODE, Change, Comparison, Counts, Snapshot
from dinmo_pipeline.engines.duckdb import snapshot_writer as keeping
from dinmo_pipeline.engines.duckdb.differences import diff_sql as sql
from dinmo_pipeline.engines.duckdb.differences.diff import Changes
from dinmo_pipeline.engines.duckdb.session import Source
from dinmo_pipeline.engines.duckdb.snapshot_writer import SnapshotFiles
from dinmo_pipeline.engines.duckdb.tables import table_columns
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.project.specs import RunType, SyncMode
from dinmo_pipeline.sync.backends.local import LocalSnapshots
from dinmo_pipeline_tests.random_cases import CASES
from dinmo_pipeline_tests.sync.readers import read_rows

NUMBERS = ["TINYINT", "BIGINT", "HUGEINT", "DECIMAL(2,2)", "DECIMAL(5,2)", "DECIMAL(38,10)", "FLOAT", "DOUBLE", "UHUGEINT"]
NUMBER_TEXTS = [
    "0",
    "1",
    "-1",
    "0.5",
    "-0.25",
    "0.1",
    "10",
    "100",
    "0.0000001",
    "10000000000000000",
    "10000000000000001",
    "99999999999999999999",
]
VALUES = {
    "VARCHAR": ["''", "'a'", "'NULL'", "'1'", "'a,\"b\"'", "'ä\n\\'"],
    "BOOLEAN": ["true", "false"],
    "DATE": ["'2020-02-29'", "'1582-10-04'"],
    "TIMESTAMP": ["'2020-01-01'", "'2020-01-01 00:00:00.000001'"],
    "TIMESTAMP_S": ["'2020-01-01'", "'2020-01-01 00:00:01'"],
    "TIMESTAMP_MS": ["'2020-01-01'", "'2020-01-01 00:00:00.001'"],
    "TIMESTAMP_NS": ["'2020-01-01'", "'2020-01-01 00:00:00.000000001'"],
    "TIMESTAMP WITH TIME ZONE": ["'2020-01-01 00:00:00+00'", "'2020-01-01 00:00:00+01'"],
    "TIME": ["'10:00:00'", "'10:00:00.000001'"],
    "TIME WITH TIME ZONE": ["'10:00:00+02'", "'08:00:00+00'"],
    "INTERVAL": ["'1 month'", "'30 days'", "'24 hours'", "'1 day'"],
    "UUID": ["'8a4b2c3d-0000-0000-0000-000000000001'", "'8a4b2c3d-0000-0000-0000-000000000002'"],
    "BLOB": ["''", "'\\x00'", "'a'"],
    "BIT": ["'0'", "'00'", "'1'"],
    "BIGNUM": ["'1'", "'123456789012345678901234567890123456789012345'", "'123456789012345678901234567890123456789012346'"],
    "JSON": ["'null'", "'{}'", "'{\"a\":1}'", "'{\"a\":2}'", "'[]'"],
    "INTEGER[]": ["[]", "[NULL]", "[1]", "[1,NULL]"],
    "VARCHAR[]": ["[]", "[NULL]", "['NULL']", "['']"],
    "INTEGER[2]": ["[1,2]", "[NULL,2]"],
    "STRUCT(a INTEGER, b VARCHAR)": ["{'a':NULL,'b':NULL}", "{'a':1,'b':''}", "{'a':1,'b':NULL}"],
    "STRUCT(a HUGEINT, b INTERVAL[])": ["{'a':1,'b':[]}", "{'a':NULL,'b':['1 month'::INTERVAL]}", "{'a':NULL,'b':['30 days'::INTERVAL]}"],
    "MAP(VARCHAR, DECIMAL(4,2))": ["MAP{}", "MAP{'a':1}", "MAP{'a':1.5}"],
    "ENUM('a', 'b')": ["'a'", "'b'"],
    "HUGEINT[]": ["[]", "[12345678901234567890123456789012345678]", "[12345678901234567890123456789012345679]"],
}
EXACT_KEYS = ["TINYINT", "BIGINT", "HUGEINT", "DECIMAL(5,2)", "DECIMAL(38,10)"]
OTHER_KEYS = ["VARCHAR", "DATE", "UUID", "STRUCT(a INTEGER, b VARCHAR)", "TIMESTAMP WITH TIME ZONE", "BLOB", "ENUM('a', 'b')"]
MODES = [SyncMode.DIFFERENCE, SyncMode.UPSERT, SyncMode.INSERT]
# XML has nothing between an absent list and an empty one, nor between text and absence in a list: what it says is compared, not more.
FORMAT_TYPES = ["csv", "json", "ndjson", "xml", "parquet"]


@dataclass(frozen=True)
class Step:
    """A table and what of it is sent: types by column, rows of literals, and the mapping."""

    types: dict[str, str]
    rows: list[dict[str, str]]
    mapping: list[tuple[str, str]]


@st.composite
def literals(draw: st.DrawFn, type_text: str) -> str:
    """SQL for a value of the type, or NULL."""
    if type_text in NUMBERS:
        found = draw(st.sampled_from([*NUMBER_TEXTS, "NULL"]))
        return "NULL" if found == "NULL" else f"TRY_CAST('{found}' AS {type_text})"
    found = draw(st.sampled_from([*VALUES[type_text], "NULL"]))
    return f"CAST({found} AS {type_text})"


@st.composite
def histories(draw: st.DrawFn) -> tuple[SyncMode, str, tuple[str, ...], list[Step]]:
    """Tables in the order in which they are synced."""
    mode, format_type = draw(st.sampled_from(MODES)), draw(st.sampled_from(FORMAT_TYPES))
    second_key = draw(st.none() | st.sampled_from(OTHER_KEYS))
    key = ("k", "K 2") if second_key is not None else ("k",)
    kinds = draw(st.lists(st.sampled_from(["number", "number", *VALUES]), min_size=1, max_size=3))
    # Only tables whose columns stay are kept as patches.
    steady = draw(st.integers(0, 2)) > 0
    steps: list[Step] = []
    for _ in range(draw(st.integers(2, 6 if steady else 4))):
        types = {"k": draw(st.sampled_from(EXACT_KEYS))}
        if second_key is not None:
            types["K 2"] = second_key
        for index, kind in enumerate(kinds):
            types[f"x{index}"] = draw(st.sampled_from(NUMBERS)) if kind == "number" else kind
        if draw(st.integers(0, 9)) == 0:
            types["x0"] = draw(st.sampled_from([*NUMBERS, *VALUES]))
        if steady and steps:
            types = steps[0].types
        rows: dict[tuple[str, ...], dict[str, str]] = {}
        for number in draw(st.lists(st.integers(-2, 3), max_size=5)):
            row = {"k": f"CAST({number} AS {types['k']})"}
            if second_key is not None:
                row["K 2"] = f"CAST({draw(st.sampled_from(VALUES[second_key]))} AS {second_key})"
            row |= {name: draw(literals(type_text)) for name, type_text in types.items() if name not in key}
            rows[tuple(row[name] for name in key)] = row
        sent = draw(st.permutations([name for name in types if name not in key and draw(st.integers(0, 4))]))
        renamed = draw(st.integers(0, 5)) == 0
        mapping = [*((name, name.replace(" ", "_")) for name in key), *((name, f"{name}_new" if renamed else name) for name in sent)]
        steps.append(Step(types, list(rows.values()), steps[0].mapping if steady and steps else mapping))
    return mode, format_type, key, steps


@dataclass
class Desk:
    """A connection, a folder, and the consumer."""

    connection: duckdb.DuckDBPyConnection
    folder: Path
    mode: SyncMode
    format_type: str
    key: tuple[str, ...]
    whole: bool = False
    base: Snapshot | None = None
    patches: int = 0
    patches_of_patches: int = 0
    copy: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent_keys: list[str] = field(default_factory=list)
    syncs: int = 0
    counts: Counts = field(default_factory=lambda: Counts(0))
    files: dict[Change, list[dict[str, Any]]] = field(default_factory=dict)
    key_names: list[str] = field(default_factory=list)

    def sync(self, step: Step) -> None:
        """Deliver what changed since the last step, and compare."""
        self.syncs += 1
        self._make_table(step)
        columns = table_columns(self.connection, "t")
        types = {column.name: column.type for column in columns}
        contract = Contract(
            source="models.t",
            key=tuple(KeyColumn(name, types[name]) for name in self.key),
            run_type=RunType.FULL_THEN_DELTA,
            sync_mode=self.mode,
            address="here",
            columns=tuple(SentColumn(attribute, name, types[attribute]) for attribute, name in step.mapping),
        )
        base = self.base if self.base is not None and contract.break_with(self.base.contract) is None else None
        if base is None:
            self.copy, self.sent_keys = {}, []
        source = Source(self.connection, "t", columns, LocalSnapshots(self.folder))
        current = source.keep(contract, f"{self.syncs}.parquet", earlier=base, whole=self.whole)
        self.patches += current.whole is not None
        self.patches_of_patches += current.whole is not None and current.since != current.whole.path
        gone_since = (base,) if base is not None and self.mode == SyncMode.DIFFERENCE else ()
        found = self._changes(Comparison(contract, current, base, gone_since))
        self.counts = found.counts
        self.files = {change: self._file(found, change) for change in FILES_OF_MODE[self.mode]}
        if current.since is not None:
            joined = self._changes(Comparison(contract, replace(current, since=None), base, gone_since))
            assert joined.counts == self.counts, "the patch and the join of both snapshots count differently"
            for change, rows in self.files.items():
                assert self._file(joined, change) == rows, f"{change}: the patch and the join of both snapshots say different things"
        for change, rows in self.files.items():
            assert found.rows_of(change) == len(rows), f"{change}: the count is not that of the file"
            self._apply(change, rows)
        everything = self._changes(Comparison(contract, current, None))
        table = {self._key_of(row): row for row in self._file(everything, FILES_OF_MODE[self.mode][0])}
        self._compare(table, [name for _, name in step.mapping])
        self.base = current

    def _make_table(self, step: Step) -> None:
        columns = ", ".join(f'"{name}" {type_text}' for name, type_text in step.types.items())
        self.connection.execute(f"CREATE OR REPLACE TABLE t ({columns})")
        seen = set()
        for row in step.rows:
            identity = self.connection.execute(f"SELECT {', '.join(f'({row[name]})::VARCHAR' for name in self.key)}").fetchone()
            if identity not in seen:
                seen.add(identity)
                self.connection.execute(f"INSERT INTO t SELECT {', '.join(row[name] for name in step.types)}")

    def _changes(self, comparison: Comparison) -> Changes:
        for name in (sql.CHANGED, sql.REMOVED):
            self.connection.execute(f"DROP TABLE IF EXISTS {name}")
        return Changes(self.connection, comparison, SnapshotFiles(LocalSnapshots(self.folder)), table="")

    def _file(self, changes: Changes, change: Change) -> list[dict[str, Any]]:
        local_path = self.folder / "file"
        local_path.unlink(missing_ok=True)
        changes.write(FORMATS[self.format_type](type=self.format_type), changes.rows(change, "Europe/Paris", key_only=False), local_path)
        return read_rows(local_path, self.format_type)

    def _key_of(self, row: dict[str, Any]) -> str:
        return repr([row[name] for name in self.key_names or [name.replace(" ", "_") for name in self.key]])

    def _apply(self, change: Change, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            key = self._key_of(row)
            if change == Change.REMOVED:
                assert key in self.copy, f"{key} is removed, and was not there"
                del self.copy[key]
            elif change == Change.ADDED and self.mode == SyncMode.INSERT:
                assert key not in self.sent_keys, f"{key} is sent twice"
                self.sent_keys.append(key)
            else:
                assert (change != Change.ADDED) or key not in self.copy, f"{key} is added, and was there"
                assert (change != Change.UPDATED) or key in self.copy, f"{key} is updated, and was not there"
                self.copy[key] = row

    def _compare(self, table: dict[str, dict[str, Any]], names: list[str]) -> None:
        if self.mode == SyncMode.INSERT:
            assert set(table) <= set(self.sent_keys)
            return
        copy = self.copy if self.mode == SyncMode.DIFFERENCE else {key: self.copy[key] for key in table}
        assert {key: {name: row.get(name) for name in names} for key, row in copy.items()} == {
            key: {name: row.get(name) for name in names} for key, row in table.items()
        }


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as opened:
        opened.execute("SET threads = 1")
        yield opened


def test_deltas_of_random_tables_applied_to_the_full_file_give_the_table(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tables of a few rows: patches of patches need room for several times as many.
    monkeypatch.setattr(keeping, "LARGEST_PATCH", 3)
    synced = patches = patches_of_patches = 0

    @settings(max_examples=int(150 * CASES))
    @given(histories())
    def check(history: tuple[SyncMode, str, tuple[str, ...], list[Step]]) -> None:
        nonlocal synced, patches, patches_of_patches
        mode, format_type, key, steps = history
        with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            desk = Desk(connection, Path(folder), mode, format_type, key)
            for step in steps:
                desk.sync(step)
                synced += 1
            patches += desk.patches
            patches_of_patches += desk.patches_of_patches

    check()
    assert synced > 150 * CASES
    assert patches > 60 * CASES
    assert patches_of_patches > 12 * CASES


def test_nested_key_in_xml_is_sent_once_whatever_columns_are_beside_it(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    types = {"k": "INTEGER", "s": "STRUCT(a INTEGER, b VARCHAR)", "x": "HUGEINT[]"}
    row = {"k": "3", "s": "CAST({'a': 1, 'b': NULL} AS STRUCT(a INTEGER, b VARCHAR))", "x": "CAST([NULL] AS HUGEINT[])"}
    desk = Desk(connection, tmp_path, SyncMode.INSERT, "xml", ("k", "s"))

    # A list in a row makes the file's root declare a namespace that the next file does not need.
    desk.sync(Step(types, [row], [("k", "k"), ("s", "s"), ("x", "x")]))
    desk.sync(Step(types, [row], [("k", "k"), ("s", "s")]))

    assert len(desk.sent_keys) == 1
