"""Texts that break careless writers, in every format: what is read back is what was there."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest
from lxml import etree

from ..hostile import TEXTS as NAUGHTY
from .conftest import make, rows_of, write
from .readers import Field, Nil, read_csv, read_json, read_parquet, read_xml

FORBIDDEN_IN_XML = [*map(chr, [*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF])]


@pytest.fixture(scope="module")
def query(connection: duckdb.DuckDBPyConnection) -> str:
    connection.execute("CREATE TEMP TABLE naughty AS SELECT unnest(?::VARCHAR[]) AS t, unnest(range(?)) AS k", [NAUGHTY, len(NAUGHTY)])
    return "SELECT t, k, [t, NULL] AS l, {'s': t} AS s FROM naughty UNION ALL SELECT NULL, -1, NULL, NULL ORDER BY k"


def in_xml(text: str) -> str:
    return "".join("\ufffd" if character in FORBIDDEN_IN_XML else character for character in text)


@pytest.mark.parametrize("quoting", ["minimal", "all"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "a", "1", ".", "-", "§", " ", "'", "\\"])
@pytest.mark.parametrize("line_ending", ["\n", "\r\n"])
def test_text_in_csv_is_whole(
    quoting: str, delimiter: str, line_ending: str, query: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    form = make("csv", quoting=quoting, delimiter=delimiter, line_ending=line_ending)
    rows = rows_of(connection, f"SELECT t, k, k / 10 AS d FROM ({query})", ["t", "k", "d"])
    data = write(connection, form, rows, tmp_path)
    header, null, *found = read_csv(data.decode(), delimiter=delimiter, line_ending=line_ending)
    assert [field.text for field in header] == ["t", "k", "d"]
    assert [fields[0].text for fields in found] == NAUGHTY
    assert [fields[1].text for fields in found] == [str(number) for number in range(len(NAUGHTY))]
    assert [float(fields[2].text) for fields in found] == [number / 10 for number in range(len(NAUGHTY))]
    assert null[0] == Field("")
    assert found[0][0] == Field("", quoted=True)
    if quoting == "all":
        assert all(field.quoted for fields in (header, *found) for field in fields)


def test_text_in_csv_is_whole_to_polars(query: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    write(connection, make("csv"), rows_of(connection, f"SELECT k, t FROM ({query})"), tmp_path)
    found = pl.read_csv(tmp_path / "file.csv", infer_schema=False)
    assert found["t"].to_list() == [None, *NAUGHTY]


@pytest.mark.parametrize("name", ["json", "ndjson"])
def test_text_in_json_is_whole(name: str, query: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    text = write(connection, make(name), rows_of(connection, query), tmp_path).decode()
    found = read_json(text) if name == "json" else [read_json(line) for line in text.removesuffix("\n").split("\n")]
    assert [(row["t"], row["l"], row["s"]) for row in found] == [
        (None, None, None),
        *((text, [text, None], {"s": text}) for text in NAUGHTY),
    ]


def test_text_in_xml_is_whole_but_for_what_xml_forbids(query: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / "file.xml"
    written = make("xml").write(connection, rows_of(connection, query), path)
    null, *found = read_xml(path.read_bytes())
    assert null == {"k": "-1"}
    assert [(row["t"], row["l"][0][1], row["s"][0][1]) for row in found] == [(in_xml(text),) * 3 for text in NAUGHTY]
    assert all(row["l"][1] == ("item", Nil()) for row in found)
    assert written.replaced_characters == 3 * sum(text.count(character) for text in NAUGHTY for character in FORBIDDEN_IN_XML)


@pytest.mark.parametrize("character", FORBIDDEN_IN_XML, ids=lambda character: f"U+{ord(character):04X}")
def test_each_character_that_xml_forbids_is_replaced_and_counted(
    character: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "file.xml.gz"
    rows = rows_of(connection, f"SELECT 'a' || chr({ord(character)}) || 'b\ufffd' AS v UNION ALL SELECT chr({ord(character)})")
    assert make("xml", compression="gzip").write(connection, rows, path).replaced_characters == 2
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(f"<a>{character}</a>".encode())


def test_mark_of_replacement_in_the_data_is_not_counted(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT '\ufffd' AS v")
    assert make("xml").write(connection, rows, tmp_path / "x").replaced_characters == 0


def test_replacement_at_the_border_of_two_blocks_is_counted(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    head = len(write(connection, make("xml"), rows_of(connection, "SELECT 'x' AS v"), tmp_path).partition(b"x</v>")[0])
    for before in (1, 2, 3):
        rows = rows_of(connection, f"SELECT repeat('x', {(1 << 20) - head - before}) || chr(1) AS v")
        assert make("xml").write(connection, rows, tmp_path / "x").replaced_characters == 1


def test_text_in_parquet_is_whole(query: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    write(connection, make("parquet"), rows_of(connection, query), tmp_path)
    assert read_parquet(tmp_path / "file.parquet").column("t").to_pylist() == [None, *NAUGHTY]
    assert pl.read_parquet(tmp_path / "file.parquet")["t"].to_list() == [None, *NAUGHTY]
