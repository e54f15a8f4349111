"""XML's options, the names of its elements, and how nulls inside values stay where they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from lxml import etree

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.xml.write_values import xml_name

from .conftest import make, rows_of, write

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
XSI = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@pytest.mark.parametrize(
    ("options", "sql", "expected"),
    [
        ({}, "1 AS a, NULL AS b, '' AS c", "<rows>\n<row><a>1</a><c></c></row>\n</rows>\n"),
        ({"root": "clients", "row": "client"}, "1 AS a", "<clients>\n<client><a>1</a></client>\n</clients>\n"),
        (
            {"nulls": "nil"},
            "1 AS a, NULL AS b, '' AS c",
            f'<rows{XSI}>\n<row><a>1</a><b xsi:nil="true"/><c></c></row>\n</rows>\n',
        ),
        ({}, "[1, NULL] AS a", f'<rows{XSI}>\n<row><a><item>1</item><item xsi:nil="true"/></a></row>\n</rows>\n'),
        ({}, "NULL::INTEGER[] AS a", f"<rows{XSI}>\n<row></row>\n</rows>\n"),
        ({}, "{'x': NULL::INTEGER, 'y': 1} AS a", "<rows>\n<row><a><y>1</y></a></row>\n</rows>\n"),
        ({"nulls": "nil"}, "{'x': NULL::INTEGER} AS a", f'<rows{XSI}>\n<row><a><x xsi:nil="true"/></a></row>\n</rows>\n'),
        ({}, "MAP {'k': NULL::INTEGER} AS a", "<rows>\n<row><a><entry><key>k</key></entry></a></row>\n</rows>\n"),
        ({"nulls": "nil"}, "NULL::STRUCT(x INTEGER) AS a", f'<rows{XSI}>\n<row><a xsi:nil="true"/></row>\n</rows>\n'),
    ],
)
def test_option_makes_these_bytes(
    options: dict[str, Any], sql: str, expected: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    data = write(connection, make("xml", **options), rows_of(connection, f"SELECT {sql}"), tmp_path)
    assert data.decode() == DECLARATION + expected
    etree.fromstring(data)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("last name", "last_name"),
        ("last_name", "last_name"),
        ("Prénom", "Prénom"),
        ("名前", "名前"),
        ("a:b", "a_b"),
        ("1st", "_1st"),
        ("-a", "_-a"),
        ("a-b.c", "a-b.c"),
        ("", "_"),
        ("xmlData", "_xmlData"),
        ("XML", "_XML"),
        ("<a>&'\"", "_a____"),
        ("a\x00b", "a_b"),
        ("👩", "👩"),
        ("\u00d7", "_"),
        ("÷a", "_a"),
    ],
)
def test_name_that_xml_forbids_is_made_valid(name: str, expected: str, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert xml_name(name) == expected
    data = write(connection, make("xml"), rows_of(connection, "SELECT 1 AS a", [name]), tmp_path)
    assert etree.fromstring(data)[0][0].tag == expected


def test_every_name_becomes_one_that_xml_takes() -> None:
    for code in [*range(0x3000), *range(0xD7F0, 0xD800), *range(0xE000, 0xE010), *range(0xF8F0, 0x10010), 0xEFFFF, 0xF0000, 0x10FFFF]:
        for name in (chr(code), "a" + chr(code)):
            etree.fromstring(f"<{xml_name(name)}/>".encode())


def test_members_that_become_one_element_are_told(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = rows_of(connection, "SELECT [{'a b': 1, 'a_b': 2}] AS v")
    with pytest.raises(DataError, match="inside a struct, the names 'a b' and 'a_b' become one XML element, <a_b>"):
        make("xml").write(connection, rows, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
