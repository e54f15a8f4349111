"""The styles that consumers ask for: booleans, timestamps, decimals, and numbers in JSON."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from .conftest import make, rows_of, write
from .readers import read_json, read_xml

QUERY = """SELECT * FROM (VALUES
    (true, TIMESTAMP '2025-07-01 14:00:00.5', TIMESTAMPTZ '2025-07-01 12:00:00+00', -1234.50::DECIMAL(9,2), 0.5::DOUBLE),
    (false, TIMESTAMP '2025-01-01 00:00:00', TIMESTAMPTZ '1900-01-01 00:00:00+00', 0.00::DECIMAL(9,2), 'inf'::DOUBLE),
    (NULL, NULL, NULL, NULL, NULL)) AS t(flag, local, instant, amount, share)"""
ISO = [
    ["true", "2025-07-01T14:00:00.500000", "2025-07-01T14:00:00+02:00", "-1234.50", "0.5"],
    ["false", "2025-01-01T00:00:00", "1900-01-01T00:00:00+00:00", "0.00", "Infinity"],
]
SQL = [["2025-07-01 14:00:00.500000", "2025-07-01 12:00:00"], ["2025-01-01 00:00:00", "1900-01-01 00:00:00"]]
PATTERN = [["01/07/2025 14:00", "01/07/2025 14:00"], ["01/01/2025 00:00", "01/01/1900 00:09"]]
STYLES: list[tuple[dict[str, Any], list[list[str]]]] = [
    ({}, ISO),
    ({"booleans": "1/0"}, [["1", *ISO[0][1:]], ["0", *ISO[1][1:]]]),
    ({"booleans": "Y/N"}, [["Y", *ISO[0][1:]], ["N", *ISO[1][1:]]]),
    ({"timestamps": "sql"}, [[ISO[0][0], *SQL[0], *ISO[0][3:]], [ISO[1][0], *SQL[1], *ISO[1][3:]]]),
    ({"timestamps": "%d/%m/%Y %H:%M"}, [[ISO[0][0], *PATTERN[0], *ISO[0][3:]], [ISO[1][0], *PATTERN[1], *ISO[1][3:]]]),
    ({"decimal": ","}, [[*ISO[0][:3], "-1234,50", "0,5"], [*ISO[1][:3], "0,00", "Infinity"]]),
    (
        {"booleans": "1/0", "timestamps": "sql", "decimal": ","},
        [["1", *SQL[0], "-1234,50", "0,5"], ["0", *SQL[1], "0,00", "Infinity"]],
    ),
]


@pytest.mark.parametrize(("options", "expected"), STYLES)
@pytest.mark.parametrize("quoting", ["minimal", "texts", "all"])
def test_csv_has_the_style(
    quoting: str, options: dict[str, Any], expected: list[list[str]], connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    data = write(connection, make("csv", quoting=quoting, header=False, **options), rows_of(connection, QUERY), tmp_path)
    assert list(csv.reader(data.decode().splitlines(), strict=True)) == [*expected, [""] * 5]


@pytest.mark.parametrize(("options", "expected"), STYLES)
def test_xml_has_the_style(
    options: dict[str, Any], expected: list[list[str]], connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    query = f"SELECT *, [{{'flag': flag, 'amount': amount}}] AS nested FROM ({QUERY})"
    found = read_xml(write(connection, make("xml", **options), rows_of(connection, query), tmp_path))
    for row, texts in zip(found, expected, strict=False):
        assert [row[name] for name in ("flag", "local", "instant", "amount", "share")] == [
            text.replace("Infinity", "INF") for text in texts
        ]
        assert row["nested"] == [("item", [("flag", texts[0]), ("amount", texts[3])])]


@pytest.mark.parametrize(("options", "expected"), STYLES)
@pytest.mark.parametrize("name", ["json", "ndjson"])
def test_json_has_the_style(
    name: str, options: dict[str, Any], expected: list[list[str]], connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    query = f"SELECT *, [{{'flag': flag, 'amount': amount}}] AS nested FROM ({QUERY})"
    text = write(connection, make(name, **options), rows_of(connection, query), tmp_path).decode()
    found = json.loads(text, parse_float=str) if name == "json" else [json.loads(line, parse_float=str) for line in text.splitlines()]
    words = {"true": True, "false": False, "1": 1, "0": 0}
    for row, (flag, at, instant, amount, share) in zip(found, expected, strict=False):
        assert row["flag"] == words.get(flag, flag)
        assert isinstance(row["flag"], {"t": bool, "f": bool, "1": int, "0": int}.get(flag[0], str))
        assert [row["local"], row["instant"], row["amount"], row["share"]] == [at, instant, amount, share]
        ((nested_flag, nested_amount),) = [part.values() for part in row["nested"]]
        assert nested_flag == words.get(flag, flag)
        # A number inside of a value keeps its value, not its digits.
        assert nested_amount == amount or ("," not in amount and Decimal(nested_amount) == Decimal(amount))
    assert list(found[2].values())[:5] == [None] * 5
    raw = [read_json(line.rstrip(",")) for line in text.splitlines() if line.startswith("{")]
    assert isinstance(raw[0]["amount"], str) == (options.get("decimal") == ",")


@pytest.mark.parametrize("name", ["json", "ndjson"])
def test_numbers_as_text_are_those_that_a_double_may_not_hold(name: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    query = """SELECT 9007199254740993 AS big, 1::INTEGER AS small, 1.5::DECIMAL(4,1) AS exact, 0.25::DOUBLE AS float, [1::BIGINT] AS l,
        18446744073709551615::UBIGINT AS u, MAP {1::BIGINT: 2::BIGINT} AS m, '{"a": 1}'::JSON AS j"""
    text = write(connection, make(name, numbers="text"), rows_of(connection, query), tmp_path).decode()
    (row,) = read_json(text) if name == "json" else [read_json(text)]
    assert row["big"] == "9007199254740993"
    assert (row["small"], row["exact"], float(row["float"]), row["l"], row["u"]) == (1, "1.5", 0.25, ["1"], "18446744073709551615")
    assert (row["m"], row["j"]) == ({"1": "2"}, {"a": 1})


@pytest.mark.parametrize("name", ["json", "ndjson"])
def test_floats_that_are_not_finite_may_be_null(name: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    query = "SELECT 'nan'::DOUBLE AS a, '-inf'::FLOAT AS b, ['inf'::DOUBLE, 1] AS l, 0.5::DOUBLE AS d"
    text = write(connection, make(name, non_finite="null"), rows_of(connection, query), tmp_path).decode()
    (row,) = read_json(text) if name == "json" else [read_json(text)]
    assert (row["a"], row["b"], row["l"][0], float(row["l"][1]), float(row["d"])) == (None, None, None, 1, 0.5)


@pytest.mark.parametrize("name", ["json", "ndjson"])
@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085"])
def test_no_line_ends_but_at_a_line_feed(name: str, character: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    connection.execute("CREATE OR REPLACE TEMP TABLE one AS SELECT ? AS t, [?] AS l, to_json(?) AS j", [f"a{character}b"] * 3)
    rows = rows_of(connection, "FROM one", [f"t{character}", "l", "j"])
    text = write(connection, make(name), rows, tmp_path).decode()
    assert text.splitlines() == text.removesuffix("\n").split("\n")
    (row,) = read_json(text) if name == "json" else [read_json(text)]
    assert row == {f"t{character}": f"a{character}b", "l": [f"a{character}b"], "j": f"a{character}b"}


def test_pattern_keeps_years_that_it_could_not_tell(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    query = "SELECT unnest([TIMESTAMPTZ '10000-01-01 00:00:00+00', 'infinity', '2025-01-01 00:00:00+00']) AS v"
    data = write(connection, make("csv", header=False, timestamps="%d.%m.%y"), rows_of(connection, query), tmp_path).decode()
    assert data.splitlines() == ["+10000-01-01T00:00:00+00:00", "infinity", "01.01.25"]
