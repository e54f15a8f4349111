"""Names, nested values and sizes that break careless writers: exact at every consumer, or refused in words."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.formats.xml.write_values import xml_name
from dinmo_pipeline.sql.quoting import quote_identifier

from ..hostile import ODD_NAMES, TEXTS
from .conftest import make, rows_of, write
from .readers import read_csv, read_json, read_parquet, read_xml
from .test_texts import in_xml


def distinct(names: list[str], format_name: str) -> list[str]:
    """Those of the names that can stand together in a file of this format."""
    kept: list[str] = []
    for name in names:
        if not make(format_name).name_problems([*kept, name]):
            kept.append(name)
    return kept


@pytest.mark.parametrize("name", FORMATS)
def test_columns_of_any_name_are_read_back_under_it(name: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    names = distinct(ODD_NAMES, name)
    # `_` is all that is left of many names in XML; é is É to readers of Parquet that know no case.
    assert len(names) > len(ODD_NAMES) - (15 if name == "xml" else 5)
    rows = rows_of(connection, f"SELECT {', '.join(f'{number} AS {quote_identifier(each)}' for number, each in enumerate(names))}", names)
    data = write(connection, make(name), rows, tmp_path)
    values = list(range(len(names)))
    match name:
        case "csv":
            header, line = read_csv(data.decode())
            assert ([field.text for field in header], [int(field.text) for field in line]) == (names, values)
        case "json" | "ndjson":
            text = data.decode()
            assert list((read_json(text)[0] if name == "json" else read_json(text)).items()) == list(zip(names, values, strict=True))
        case "xml":
            assert read_xml(data) == [{xml_name(each): str(number) for number, each in enumerate(names)}]
        case _:
            table = read_parquet(tmp_path / "file.parquet")
            assert (table.column_names, list(table.to_pylist()[0].values())) == (names, values)


@pytest.mark.parametrize("name", FORMATS)
def test_nested_values_with_any_names_keys_and_texts_are_whole(name: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    texts = [text for text in TEXTS if len(text) < 1000]
    members = distinct(ODD_NAMES, "xml")
    struct = ", ".join(f"{quote_identifier(each)} := t || '{number}'" for number, each in enumerate(members))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE hostile AS SELECT unnest(?::VARCHAR[]) AS t, unnest(range(?)) AS k", [texts, len(texts)]
    )
    query = (
        f"SELECT [t, NULL, t] AS l, struct_pack({struct}) AS s, MAP {{t: [NULL, t], t || '2': []}} AS m, "
        "MAP {t: INTERVAL 1 DAY} AS d, [union_value(u := t)] AS u FROM hostile ORDER BY k"
    )
    columns = ["l", "s", "m", "d", "u"]
    if name == "csv":
        _, *lines = read_csv(write(connection, make(name), rows_of(connection, query), tmp_path).decode())
        found = [dict(zip(columns, (read_json(field.text) for field in line), strict=True)) for line in lines]
    elif name in ("json", "ndjson"):
        text = write(connection, make(name), rows_of(connection, query), tmp_path).decode()
        found = read_json(text) if name == "json" else [read_json(line) for line in text.removesuffix("\n").split("\n")]
    elif name == "xml":
        for text, row in zip(texts, read_xml(write(connection, make(name), rows_of(connection, query), tmp_path)), strict=True):
            shown = in_xml(text)
            assert [value for _, value in row["l"]][::2] == [shown, shown]
            assert row["s"] == [(xml_name(each), f"{shown}{number}") for number, each in enumerate(members)]
            assert [entry[0] for _, entry in row["m"]] == [("key", shown), ("key", f"{shown}2")]
            assert row["u"] == [("item", [("u", shown)])]
        return
    else:
        write(connection, make(name), rows_of(connection, query), tmp_path)
        found = [
            {**row, "m": dict(row["m"]), "d": dict(row["d"]), "u": [{"u": each["u"]} for each in row["u"]]}
            for row in read_parquet(tmp_path / "file.parquet").to_pylist()
        ]
    assert found == [
        {
            "l": [text, None, text],
            "s": {each: f"{text}{number}" for number, each in enumerate(members)},
            "m": {text: [None, text], f"{text}2": []},
            "d": {text: "P1D"},
            "u": [{"u": text}],
        }
        for text in texts
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_two_thousand_columns_are_written(name: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    names = [f"c {number}" for number in range(2000)]
    rows = rows_of(connection, f"SELECT {', '.join(f'i * {number}' for number in range(2000))} FROM range(2) AS r(i)", names)
    data = write(connection, make(name), rows, tmp_path)
    match name:
        case "csv":
            assert list(csv.reader(data.decode().splitlines())) == [names, ["0"] * 2000, [str(number) for number in range(2000)]]
        case "json" | "ndjson":
            found = read_json(data.decode()) if name == "json" else [read_json(line) for line in data.decode().splitlines()]
            assert found == [{each: row * number for number, each in enumerate(names)} for row in range(2)]
        case "xml":
            assert read_xml(data) == [{xml_name(each): str(row * number) for number, each in enumerate(names)} for row in range(2)]
        case _:
            assert pq.read_table(tmp_path / "file.parquet").to_pylist() == [
                {each: row * number for number, each in enumerate(names)} for row in range(2)
            ]


LARGE = """\
import re, sys, duckdb
from pathlib import Path
from dinmo_pipeline.formats.base import Column, Rows
from dinmo_pipeline.formats.csv.write import CsvFormat
with duckdb.connect(config={"threads": 1}) as connection:
    connection.execute("SET enable_progress_bar = false")
    connection.execute("CREATE TABLE t AS SELECT repeat('a, ' || chr(34) || 'b' || chr(34) || chr(10) || 'é', 11111111) AS v0")
    CsvFormat().write(connection, Rows("SELECT * FROM t", (Column("v", "VARCHAR"),), "UTC"), Path(sys.argv[1]))
# Not getrusage(), which tells of the parent, too, where that was larger.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def test_value_of_100_mb_is_written_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    done = subprocess.run([sys.executable, "-c", LARGE, str(path)], capture_output=True, text=True, check=True, timeout=300)
    value = 'a, "b"\né' * 11_111_111
    # Not compared by assert alone: it would show both.
    same = path.read_text(encoding="utf-8") == 'v\n"' + value.replace('"', '""') + '"\n'
    assert same
    assert int(done.stdout) < 800, "MiB: more than eight times the value"
