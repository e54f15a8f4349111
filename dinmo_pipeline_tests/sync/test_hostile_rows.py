"""Rows that look alike and are not, or look changed and are not: deltas, patches and lookups tell each from every other."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from dinmo_pipeline.delta.contract import Contract, KeyColumn, SentColumn
from dinmo_pipeline.delta.export import Change, Snapshot
from dinmo_pipeline.engines.duckdb.lookup import Lookup
from dinmo_pipeline.engines.duckdb.session import Source
from dinmo_pipeline.engines.duckdb.tables import table_columns
from dinmo_pipeline.errors import DataError
from dinmo_pipeline.project.specs import RunType, SyncMode
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal
from dinmo_pipeline.sync.backends.local import LocalSnapshots
from dinmo_pipeline_tests.hostile import ALIKE, ODD_NAMES
from dinmo_pipeline_tests.sync.test_deltas import Desk, Step, connection

__all__ = ["connection"]

# Of each type groups of values: those of one group are one value, those of two are two.
VALUES = {
    "VARCHAR": [
        ["''"],
        ["' '"],
        ["'a'"],
        ["'a' || chr(0)"],
        ["'a' || chr(0) || 'b'"],
        ["'é'"],
        ["'e' || chr(769)"],
        ["chr(65534)"],
        ["'A'"],
    ],
    "DOUBLE": [["'nan'", "'-nan'"], ["'inf'"], ["'-inf'"], ["'0.0'", "'-0.0'"], ["'5e-324'"], ["'1.7976931348623157e308'"]],
    "DOUBLE[]": [["['nan']"], ["['0.0']", "['-0.0']"], ["['inf']"], ["[]"], ["[NULL]"], ["[NULL, NULL]"], ["['nan', NULL]"]],
    "VARCHAR[]": [["['é']"], ["['e' || chr(769)]"], ["[chr(0)]"], ["['']"], ["[NULL]"], ["[]"], ["['null']"], ["['', '']"], ["[',']"]],
    "STRUCT(a DOUBLE, b VARCHAR[])": [
        ["{'a': 'nan', 'b': []}"],
        ["{'a': 'nan', 'b': NULL}"],
        ["{'a': '0.0', 'b': [NULL]}", "{'a': '-0.0', 'b': [NULL]}"],
        ["{'a': NULL, 'b': NULL}"],
    ],
    "STRUCT(a INTEGER)[]": [["[]"], ["[NULL]"], ["[{'a': NULL}]"], ["[{'a': 1}]"]],
    "MAP(VARCHAR, DOUBLE)": [["MAP {}"], ["MAP {'é': 'nan'}"], ["MAP {'e' || chr(769): 'nan'}"], ["MAP {'É': 'nan'}"], ["MAP {'é': NULL}"]],
    "DATE": [
        ["'infinity'"],
        ["'-infinity'"],
        ["'0001-01-01'"],
        ["'0001-12-31 (BC)'"],
        ["'9999-12-31'"],
        ["'10000-01-01'"],
        ["'5881580-07-10'"],
    ],
    "TIMESTAMP": [
        ["'infinity'"],
        ["'-infinity'"],
        ["'0001-01-01'"],
        ["'0044-03-15 (BC)'"],
        ["'9999-12-31 23:59:59.999999'"],
        ["'294247-01-10'"],
    ],
    "TIMESTAMP_S": [
        ["'infinity'"],
        ["'-infinity'"],
        ["'0001-01-01'"],
        ["'0044-03-15 (BC)'"],
        ["'9999-12-31 23:59:59'"],
        ["'294247-01-10'"],
    ],
    "TIMESTAMP_MS": [
        ["'infinity'"],
        ["'-infinity'"],
        ["'0001-01-01'"],
        ["'0044-03-15 (BC)'"],
        ["'9999-12-31 23:59:59.999'"],
        ["'294247-01-10'"],
    ],
    "TIMESTAMP_NS": [["'infinity'"], ["'-infinity'"], ["'2262-04-11 23:47:16.854775806'"], ["'1677-09-22'"]],
    "TIMESTAMPTZ": [
        ["'infinity'"],
        ["'-infinity'"],
        ["'0001-01-01 00:00:00+00'"],
        ["'9999-12-31 23:59:59+00'", "'9999-12-31 22:59:59-01'"],
    ],
    "TIMESTAMPTZ_NS": [["'infinity'"], ["'2262-04-11 23:47:16.854775806+00'"], ["'2025-01-01 00:00:00.000000001+00'"]],
    "TIME_NS": [["'10:00:00.000000001'"], ["'10:00:00'"], ["'24:00:00'"]],
    "HUGEINT": [["'170141183460469231731687303715884105727'"], ["'-170141183460469231731687303715884105728'"], ["0"]],
    "DECIMAL(38,0)": [["'99999999999999999999999999999999999999'"], ["'99999999999999999999999999999999999998'"]],
    "JSON": [["'null'"], ["'[]'"], ["'[null]'"], ["'{\"a\":1}'"], ["'{\"a\":1.0}'"], ["'\"é\"'"], ["'\"e\u0301\"'"]],
    "VARIANT": [["'a'"], ["'A'"], ["1"], ["[1, NULL]"], ["{'a': '1.5'::DECIMAL(38, 10)}"]],
}


@pytest.mark.parametrize("type_text", VALUES)
def test_changed_value_is_always_told_and_an_unchanged_one_never(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, type_text: str
) -> None:
    groups = [*VALUES[type_text], ["NULL"]]
    values = [(number, f"CAST({value} AS {type_text})") for number, group in enumerate(groups) for value in group]
    pairs = [(before, after) for before in values for after in values]
    desk = Desk(connection, tmp_path, SyncMode.DIFFERENCE, "ndjson", ("k",))
    for moment in (0, 1):
        rows = [{"k": str(index), "v": pair[moment][1]} for index, pair in enumerate(pairs)]
        desk.sync(Step({"k": "INTEGER", "v": type_text}, rows, [("k", "k"), ("v", "v")]))

    updated = {int(row["k"][1]) for row in desk.files[Change.UPDATED]}

    assert updated == {index for index, (before, after) in enumerate(pairs) if before[0] != after[0]}
    assert (desk.counts.added, desk.counts.removed) == (0, 0)


@pytest.mark.parametrize(("type_text", "values"), [("VARCHAR", ["NULL", "''", "'a'", "'b'"]), ("BIGINT", ["NULL", "0", "1", "-1"])])
def test_values_that_change_places_within_a_row_are_told(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, type_text: str, values: list[str]
) -> None:
    rows = [(one, other) for one in values for other in values]
    pairs = [(before, after) for before in rows for after in rows]
    desk = Desk(connection, tmp_path, SyncMode.DIFFERENCE, "ndjson", ("k",))
    for moment in (0, 1):
        found = [{"k": str(index), "v": pair[moment][0], "w": pair[moment][1]} for index, pair in enumerate(pairs)]
        desk.sync(Step({"k": "INTEGER", "v": type_text, "w": type_text}, found, [("k", "k"), ("v", "v"), ("w", "w")]))

    updated = {int(row["k"][1]) for row in desk.files[Change.UPDATED]}

    assert updated == {index for index, (before, after) in enumerate(pairs) if before != after}


# The desk takes full width digits for the number that they are, as Python does.
KEYS = [*(key for key in ALIKE if key != "\uff11"), "", "a\x00", "a\x00b", "\uffff", "\U0010ffff", "👩‍👩‍👧", "👩👩👧"]


@pytest.mark.parametrize("mode", [SyncMode.DIFFERENCE, SyncMode.UPSERT, SyncMode.INSERT])
def test_keys_that_look_alike_stay_records_of_their_own(connection: duckdb.DuckDBPyConnection, tmp_path: Path, mode: SyncMode) -> None:
    def step(values: dict[str, str]) -> Step:
        rows = [{"k": text(key), "v": quote_literal(value)} for key, value in values.items()]
        return Step({"k": "VARCHAR", "v": "VARCHAR"}, rows, [("k", "k"), ("v", "v")])

    desk = Desk(connection, tmp_path, mode, "parquet", ("k",))
    first = {key: f"of {number}" for number, key in enumerate(KEYS)}
    desk.sync(step(first))
    assert desk.counts.added == len(KEYS)
    changed, gone, new = "é", "A", "\u200ba"
    desk.sync(step({key: value for key, value in first.items() if key != gone} | {changed: "changed", new: "new"}))

    assert desk.counts.added == 1
    assert desk.counts.updated == (None if mode == SyncMode.INSERT else 1)
    assert desk.counts.removed == (1 if mode == SyncMode.DIFFERENCE else None)
    assert desk.base is not None
    for key, value in first.items():
        found = Lookup(connection, LocalSnapshots(tmp_path), (key,)).values(desk.base)
        expected = None if key == gone else {"k": key, "v": "changed" if key == changed else value}
        assert found == expected, ascii(key)


def text(value: str) -> str:
    """SQL for a text that a query's own text may not hold."""
    return " || ".join(f"chr({ord(character)})" for character in value) or "''"


@pytest.mark.parametrize(
    ("type_text", "keys", "rows"),
    [("DOUBLE", ["'0.0'", "'-0.0'"], 2), ("DOUBLE", ["'nan'", "'-nan'", "'nan'"], 3), ("FLOAT[]", ["[0]", "['-0.0']"], 2)],
)
def test_floats_that_are_one_key_are_refused_as_such(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, type_text: str, keys: list[str], rows: int
) -> None:
    values = ", ".join(f"(CAST({key} AS {type_text}))" for key in keys)
    connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT * FROM (VALUES {values}) AS t(k)")
    columns = table_columns(connection, "t")
    with pytest.raises(DataError, match=rf"more than one row has the same k, for instance .* \({rows} rows\)"):
        Source(connection, "t", columns, LocalSnapshots(tmp_path)).keep(
            contract(["k"], ["k"], columns[0].type), "a", earlier=None, whole=False
        )


def contract(key: list[str], attributes: list[str], type_text: str, mode: SyncMode = SyncMode.DIFFERENCE) -> Contract:
    return Contract(
        "models.t",
        tuple(KeyColumn(name, type_text) for name in key),
        RunType.FULL_THEN_DELTA,
        mode,
        "here",
        tuple(SentColumn(name, name, type_text) for name in attributes),
    )


def test_columns_of_any_name_are_compared_and_sent_each_as_itself(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    key, names = "rowid", [name for name in ODD_NAMES if name != "rowid"]
    mapping = [(key, key), *zip(names, reversed(names), strict=True)]
    types = {quoted(name): "VARCHAR" for name in (key, *names)}

    def rows(changed: bool) -> list[dict[str, str]]:
        """Row n differs in column n."""
        return [
            {quoted(key): f"'row {row}'"}
            | {quoted(name): f"'{row} {column}{' changed' * (changed and row == column)}'" for column, name in enumerate(names)}
            for row in range(len(names))
        ]

    desk = Desk(connection, tmp_path, SyncMode.DIFFERENCE, "ndjson", (key,))
    desk.sync(Step(types, rows(changed=False), mapping))
    sent = [json.loads(line) for line in (tmp_path / "file").read_text(encoding="utf-8").split("\n")[:-1]]
    assert sorted(sent, key=str) == sorted(
        ({key: f"row {row}"} | {new: f"{row} {column}" for column, (_, new) in enumerate(mapping[1:])} for row in range(len(names))),
        key=str,
    )
    desk.sync(Step(types, rows(changed=True), mapping))

    assert (desk.counts.added, desk.counts.updated, desk.counts.removed) == (0, len(names), 0)


def quoted(name: str) -> str:
    """The inside of a quoted name, which the desk puts between quotes."""
    return quote_identifier(name)[1:-1]


def test_two_thousand_columns_are_kept_compared_and_looked_up(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    names = [f"column {number}" for number in range(2000)]
    promise = contract(names[1:2], names, "BIGINT")
    kept: list[Snapshot] = []
    for number in (0, 1):
        # Every value changes but the key's.
        values = ", ".join(f"i * {index} + {number * (index != 1)} AS {quote_identifier(name)}" for index, name in enumerate(names))
        connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT {values} FROM range(3) AS r(i)")
        source = Source(connection, "t", table_columns(connection, "t"), LocalSnapshots(tmp_path))
        kept.append(source.keep(promise, f"{number}.parquet", earlier=kept[-1] if kept else None, whole=False))

    found = Lookup(connection, LocalSnapshots(tmp_path), ("2",)).values(kept[-1])

    assert kept[-1].whole == kept[0]
    assert found == {name: str(2 * index + (index != 1)) for index, name in enumerate(names)}
