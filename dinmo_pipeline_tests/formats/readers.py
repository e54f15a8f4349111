"""Independent readers: what others make of our files. Each gives the names of the columns and the rows.

A CSV field keeps whether it was quoted, JSON numbers are exact, an XML element is its text or its children, Parquet is PyArrow's.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree

NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


class Nil:
    """An element that says it is null."""

    def __repr__(self) -> str:
        return "NIL"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nil)

    def __hash__(self) -> int:
        return 0


@dataclass(frozen=True)
class Field:
    """One CSV field: its text, and whether it stood in quotes."""

    text: str
    quoted: bool = False


def read_csv(text: str, *, delimiter: str = ",", line_ending: str = "\n") -> list[list[Field]]:
    """Every line of a CSV file, by RFC 4180 to the letter; checked against Python's reader, which does not tell quotes."""
    lines: list[list[Field]] = []
    position = 0
    while position < len(text):
        fields: list[Field] = []
        while True:
            if text.startswith('"', position):
                value = ""
                while True:
                    end = text.index('"', position + 1)
                    value += text[position + 1 : end]
                    position = end + 1
                    if not text.startswith('"', position):
                        break
                    value += '"'
                fields.append(Field(value, quoted=True))
            else:
                ends = [found for stop in (delimiter, line_ending) if (found := text.find(stop, position)) >= 0]
                end = min(ends)
                assert '"' not in text[position:end], "a quote inside a field without quotes"
                fields.append(Field(text[position:end]))
                position = end
            if text.startswith(line_ending, position):
                position += len(line_ending)
                break
            assert text.startswith(delimiter, position), f"after a field: {text[position : position + 20]!r}"
            position += len(delimiter)
        lines.append(fields)
    plain = [[field.text for field in fields] for fields in lines]
    assert list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)) == [
        [] if fields == [""] and lines[index] == [Field("")] else fields for index, fields in enumerate(plain)
    ]
    return lines


def read_json(text: str) -> Any:
    """A JSON text by its letter: exact numbers, no `NaN`, no key twice."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), f"a key twice in {pairs}"
        return dict(pairs)

    return json.loads(text, parse_float=Decimal, parse_constant=refuse, object_pairs_hook=unique)


def read_xml(data: bytes, *, row: str = "row") -> list[dict[str, Any]]:
    """The rows of an XML file: each the contents of its elements by name."""
    root = etree.fromstring(data, etree.XMLParser(huge_tree=True))
    assert all(element.tag == row for element in root)
    return [dict(children(element)) for element in root]


def children(element: Any) -> list[tuple[str, Any]]:
    names = [child.tag for child in element]
    return [(name, content(child)) for name, child in zip(names, element, strict=True)]


def content(element: Any) -> Any:
    if element.get(NIL) == "true":
        return Nil()
    return children(element) if len(element) else element.text or ""


def read_parquet(path: Path) -> pa.Table:
    return pq.read_table(path)
