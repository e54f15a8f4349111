"""CSV's options: what each makes of header, null, line ending, encoding and formulas."""

from __future__ import annotations

import codecs
import csv
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dinmo_pipeline.errors import DataError

from .conftest import make, rows_of, write

QUERY = "SELECT * FROM (VALUES (1, 'é'), (NULL, NULL), (2, '')) AS t(a, b)"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 'a,b\n1,é\n,\n2,""\n'),
        ({"quoting": "all"}, '"a","b"\n"1","é"\n,\n"2",""\n'),
        ({"header": False}, '1,é\n,\n2,""\n'),
        ({"delimiter": "\t"}, 'a\tb\n1\té\n\t\n2\t""\n'),
        ({"delimiter": "→"}, 'a→b\n1→é\n→\n2→""\n'),
        ({"quoting": "texts"}, '"a","b"\n1,"é"\n,\n2,""\n'),
        ({"null_text": "NULL"}, 'a,b\n1,é\nNULL,NULL\n2,""\n'),
        ({"null_text": "\\N"}, 'a,b\n1,é\n\\N,\\N\n2,""\n'),
        ({"null_text": "NULL", "quoting": "all"}, '"a","b"\n"1","é"\nNULL,NULL\n"2",""\n'),
        ({"line_ending": "\r\n"}, 'a,b\r\n1,é\r\n,\r\n2,""\r\n'),
        ({"line_ending": "\r\n", "header": False}, '1,é\r\n,\r\n2,""\r\n'),
        ({"encoding": "utf-8-bom"}, '\ufeffa,b\n1,é\n,\n2,""\n'),
        ({"encoding": "utf-8-bom", "header": False}, '\ufeff1,é\n,\n2,""\n'),
    ],
)
def test_option_makes_these_bytes(options: dict[str, Any], expected: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert write(connection, make("csv", **options), rows_of(connection, QUERY), tmp_path) == expected.encode()


@pytest.mark.parametrize("quoting", ["minimal", "all"])
@pytest.mark.parametrize("null_text", ["NULL", "1", "0.5", "true", "x", " ", "é", "\\N", "'"])
def test_value_that_equals_the_null_text_is_quoted(
    null_text: str, quoting: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    connection.execute("CREATE OR REPLACE TEMP TABLE t AS SELECT ? AS s, 1 AS i, 0.5 AS d, true AS b", [null_text])
    data = write(connection, make("csv", null_text=null_text, header=False, quoting=quoting), rows_of(connection, "FROM t"), tmp_path)
    for field in data.decode().removesuffix("\n").split(","):
        assert field != null_text
        assert field.startswith('"') or quoting == "minimal"


def test_null_in_a_file_of_one_column_is_an_empty_line(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT * FROM (VALUES (NULL), (''), ('x')) AS t(a)")
    assert write(connection, make("csv"), rows, tmp_path) == b'a\n\n""\nx\n'


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "é日👩"),
        ("utf-8-bom", "é日👩"),
        ("utf-16", "é日👩"),
        ("latin-1", "é\x85ÿ"),
        ("iso-8859-15", "é€"),
        ("windows-1250", "łš€"),
        ("windows-1251", "Привет"),
        ("windows-1252", "é€"),
        ("shift-jis", "日本ｱ"),
        ("gb18030", "é日👩"),
    ],
)
def test_encoding_is_read_back(encoding: str, text: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, f"SELECT '{text}' || i AS t FROM range(300000) AS r(i)", [text])
    data = write(connection, make("csv", encoding=encoding), rows, tmp_path)
    reader = {"utf-8-bom": "utf-8-sig", "windows-1252": "cp1252"}.get(encoding, encoding)
    assert data.decode(reader) == text + "\n" + "".join(f"{text}{number}\n" for number in range(300000))
    marks = {"utf-8-bom": codecs.BOM_UTF8, "utf-16": codecs.BOM_UTF16_LE}
    assert data.startswith(marks.get(encoding, text.encode(reader)))


def test_character_without_encoding_is_told_with_column_and_example(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT 1 AS id, 'fine' AS a, 'Łódź ' || i AS city FROM range(3) AS r(i)")
    with pytest.raises(DataError) as caught:
        make("csv", encoding="windows-1252").write(connection, rows, tmp_path / "file")
    assert str(caught.value) == (
        "writing CSV in windows-1252: the character 'Ł' (U+0141) of column 'city', for example in 'Łódź 0' is not in that encoding; "
        "write `encoding: utf-8`, or replace the character in the query"
    )


@pytest.mark.parametrize("character", ["¥", "‾"])
def test_character_that_shift_jis_gives_back_as_another_is_told(
    character: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    # Python writes them as the bytes of \\ and ~.
    assert character.encode("shift-jis").decode("shift-jis") != character
    with pytest.raises(DataError, match=f"the character '{character}' .* of column 'price', .* is not in that encoding"):
        make("csv", encoding="shift-jis").write(connection, rows_of(connection, f"SELECT '{character}' AS price"), tmp_path / "file")
    with pytest.raises(ValueError, match=f"shift-jis has no character '{character}'"):
        make("csv", encoding="shift-jis", delimiter=character)


def test_header_without_encoding_is_told(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the character '日' \(U\+65E5\) of the header is not in that encoding"):
        make("csv", encoding="latin-1").write(connection, rows_of(connection, "SELECT 1 AS a", ["日"]), tmp_path / "file")


def test_header_is_quoted_where_a_name_needs_it(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    names = ["a,b", 'a"b', "a\nb", "a\rb", "", " a ", "A", "a", "#a", "\ufeffb"]
    rows = rows_of(connection, f"SELECT {', '.join('1' for _ in names)}", names)
    text = write(connection, make("csv"), rows, tmp_path).decode()
    assert next(csv.reader([*text.splitlines(keepends=True)], strict=True)) == names
    assert text.startswith('"a,b","a""b","a\nb","a\rb",""," a ",A,a,"#a",')


READ_OTHERWISE = ["\\.", "\\N", "NULL", " x", "x ", "\tx", "x\t", " ", "\t", "", "\n", "\r", "\x00x", "#", "x#"]


@pytest.mark.parametrize("text", READ_OTHERWISE)
@pytest.mark.parametrize("kind", ["VARCHAR", "ENUM"])
@pytest.mark.parametrize("null_text", ["", "NULL", "\\N", "-"])
def test_text_that_some_reader_takes_for_another_is_quoted(
    null_text: str, kind: str, text: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    connection.execute("CREATE OR REPLACE TEMP TABLE texts AS SELECT unnest([?, NULL, 'plain']) AS v", [text])
    if kind == "ENUM":
        connection.execute("CREATE OR REPLACE TYPE given AS ENUM (SELECT DISTINCT v FROM texts WHERE v IS NOT NULL)")
        connection.execute("CREATE OR REPLACE TEMP TABLE texts AS SELECT v::given AS v FROM texts")
    rows = rows_of(connection, "SELECT v, 1 AS k FROM texts")
    data = write(connection, make("csv", null_text=null_text, header=False), rows, tmp_path).decode()
    assert data == f'"{text}",1\n{null_text},1\nplain,1\n'


@pytest.mark.parametrize("text", [name for name in READ_OTHERWISE if name])
def test_name_that_some_reader_takes_for_another_is_quoted(text: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    data = write(connection, make("csv"), rows_of(connection, "SELECT 1 AS a, 2 AS b", [text, "b"]), tmp_path).decode()
    assert data == f'"{text}",b\n1,2\n'


def test_text_is_quoted_wherever_it_stands_in_a_long_file(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    # The file is gone through in blocks of this many bytes.
    block = 1 << 20
    for length in range(block - 40, block + 5):
        texts = ["x" * length, "a ", "b", "", "c" * block, "\\N"]
        connection.execute("CREATE OR REPLACE TEMP TABLE texts AS SELECT unnest(?) AS v", [texts])
        data = write(connection, make("csv", header=False), rows_of(connection, "FROM texts"), tmp_path).decode()
        assert data == f'{texts[0]}\n"a "\nb\n""\n{texts[4]}\n"\\N"\n'


def test_texts_and_nothing_else_are_quoted_where_that_is_asked_for(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    query = """SELECT 'x' AS t, NULL::VARCHAR AS n, '{}'::JSON AS j, [1] AS l, uuid '00112233-4455-6677-8899-aabbccddeeff' AS u, 1 AS i,
        1.5 AS d, 0.5::DOUBLE AS f, true AS b, DATE '2025-01-01' AS day, TIMESTAMP '2025-01-01 00:00:00' AS at, TIME '12:00:00' AS c"""
    data = write(connection, make("csv", quoting="texts", header=False), rows_of(connection, query), tmp_path).decode()
    uuid = '"00112233-4455-6677-8899-aabbccddeeff"'
    assert data == f'"x",,"{{}}","[1]",{uuid},1,1.5,0.5,true,2025-01-01,2025-01-01T00:00:00,12:00:00\n'


def test_first_name_that_begins_with_a_byte_order_mark_keeps_it(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    data = write(connection, make("csv"), rows_of(connection, "SELECT 1 AS a", ["\ufeffa"]), tmp_path)
    assert next(csv.reader(data.decode("utf-8-sig").splitlines())) == ["\ufeffa"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("'=1+1'", "'=1+1"),
        ("'+49 30'", "'+49 30"),
        ("'-a'", "'-a"),
        ("'@cmd'", "'@cmd"),
        ("chr(65309) || '1'", "'\uff1d1"),
        ("chr(9) || 'x'", "'\tx"),
        ("chr(13) || '=x'", '"\'\r=x"'),
        ("'a=1'", "a=1"),
        ("''", '""'),
        ("NULL::VARCHAR", ""),
        ("'\"=1\"'", '"""=1"""'),
        ("-1", "-1"),
        ("-1.5::DECIMAL(3,1)", "-1.5"),
        ("'-inf'::DOUBLE", "-Infinity"),
        ("from_base64('+/8=')", "'+/8="),
        ("'\"=1\"'::JSON", '"""=1"""'),
        ("'=a'::ENUM('=a')", "'=a"),
        ("['=1']", '"[""=1""]"'),
    ],
)
def test_escape_formulas_marks_texts_alone(sql: str, expected: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, f"SELECT {sql} AS a, 1 AS b")
    assert write(connection, make("csv", escape_formulas=True, header=False), rows, tmp_path).decode() == f"{expected},1\n"
    plain = write(connection, make("csv", header=False), rows, tmp_path).decode()
    assert (plain == f"{expected},1\n") == ("'" not in expected)


def test_escape_formulas_marks_the_header_too(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT 1 AS a", ["=a"])
    assert write(connection, make("csv", escape_formulas=True), rows, tmp_path) == b"'=a\n1\n"
