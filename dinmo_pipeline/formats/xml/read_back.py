"""Reading back the XML that `write` wrote: its cells are texts, a nested one is that of its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pyarrow

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.text_reader import pieces
from dinmo_pipeline.formats.value_text import NESTED
from dinmo_pipeline.formats.xml.schema import is_schema_name
from dinmo_pipeline.formats.xml.write_values import member_names, xml_name
from dinmo_pipeline.sql.types import DuckType

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


class _Fault(Exception):
    """What is wrong with an element, in words."""


def cells(
    name: str, blocks: Iterator[bytes], *, head: str, root: str, row: str, columns: Sequence[tuple[str, DuckType]]
) -> Iterator[list[pyarrow.Array]]:
    """Yield the texts of the columns' elements, of the text that follows `head`. `columns` have their own names, not those of elements.

    Rows are parsed so many at a time, between a head and an end of ours: the file can have no document type, and no entity of its own.
    """
    names = [xml_name(column) for column, _ in columns]
    known = frozenset(names)
    _require_readable(name, [root, row, *names], [column_type for _, column_type in columns])
    begins, ends, starts_row = head.encode(), f"</{root}>".encode(), f"\n<{row}>".encode()
    count = 0
    try:
        for piece, final in pieces(name, blocks, starts_row, len(starts_row) - 1):
            rows = ElementTree.fromstring(begins + piece + (b"" if final else ends))
            if rows.text and rows.text.strip():
                raise _Fault(f"{rows.text.strip()[:80]!r} stands between the rows")
            found = [_children(each, known, row) for each in rows]
            if found:
                yield [
                    pyarrow.array([_cell(column_type, each.get(element)) for each in found], pyarrow.large_string())
                    for element, (_, column_type) in zip(names, columns, strict=True)
                ]
            count += len(found)
    except (ElementTree.ParseError, _Fault) as error:
        raise DataError(f"reading {name}: after row {count:,}: {error}") from error


def _require_readable(name: str, elements: Sequence[str], types: Sequence[DuckType]) -> None:
    nested = (part for column_type in types for part in column_type.walk() if part.kind in ("STRUCT", "UNION"))
    for element in (*elements, *chain.from_iterable(map(member_names, nested))):
        if not is_schema_name(element):
            raise DataError(f"reading {name}: Python's XML parser knows no element <{element}>: give it a name of other letters")


def _children(element: Element, names: frozenset[str], tag: str) -> dict[str, Element]:
    """Return the element's children by name, each one of `names`."""
    found = {child.tag: child for child in element}
    if len(found) < len(element) or not found.keys() <= names or element.tag != tag:
        raise _Fault(f"<{element.tag}> holds {[child.tag for child in element]}, and <{tag}> with each of {sorted(names)} was expected")
    return found


def _cell(column_type: DuckType, element: Element | None) -> str | None:
    if element is None or element.get(_NIL) == "true":
        return None
    if column_type.kind in NESTED:
        return json.dumps(_json(column_type, element), ensure_ascii=False)
    if len(element):
        raise _Fault(f"<{element.tag}> holds elements, and a text was expected")
    return element.text or ""


def _json(column_type: DuckType, element: Element | None) -> Any:
    """Return what JSON has in the place of the element, with texts for all that is not nested."""
    kind, members = column_type.kind, column_type.members
    if element is None or element.get(_NIL) == "true":
        return None
    if kind not in NESTED:
        return _cell(column_type, element)
    if element.text and element.text.strip():
        raise _Fault(f"<{element.tag}> holds {element.text.strip()[:80]!r}, and elements were expected")
    if kind == "MAP":
        entries = [_children(entry, frozenset({"key", "value"}), "entry") for entry in element]
        if not all("key" in entry for entry in entries):
            raise _Fault(f"<{element.tag}> holds an entry without a key")
        return {_cell(members[0][1], entry.get("key")): _json(members[1][1], entry.get("value")) for entry in entries}
    if kind in ("STRUCT", "UNION"):
        names = member_names(column_type)
        found = _children(element, frozenset(names), element.tag)
        there = zip(members, names, strict=True)
        return {name: _json(part, found.get(each)) for (name, part), each in there if kind == "STRUCT" or each in found}
    parts = [part for _, part in members] if kind == "TUPLE" else [members[0][1]] * len(element)
    if len(parts) != len(element) or any(child.tag != "item" for child in element):
        raise _Fault(f"<{element.tag}> holds {[child.tag for child in element]}, and an <item> for each value was expected")
    return [_json(part, child) for part, child in zip(parts, element, strict=True)]
