"""Readers of delivered files that share no code with what wrote them. Values of two number types are equal when the numbers are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from lxml import etree


def read_rows(local_path: Path, format_type: str) -> list[dict[str, Any]]:
    """The rows of a file, in order."""
    return [{name: by_value(value) for name, value in row.items()} for row in _READERS[format_type](local_path)]


def by_value(value: Any) -> Any:
    """What two files have in common that say the same in two number types."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return {"struct": {name: by_value(member) for name, member in value.items()}}
    if isinstance(value, list | tuple):
        return [by_value(item) for item in value]
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        return repr(value)
    return str(number) if not number.is_finite() else "number", str(number.normalize() + 0)


def _read_csv(local_path: Path) -> Iterator[dict[str, Any]]:
    lines = list(_csv_lines(local_path.read_bytes().decode()))
    for line in lines[1:]:
        yield dict(zip([str(name) for name in lines[0]], line, strict=True))


def _csv_lines(text: str) -> Iterator[list[str | None]]:
    """RFC 4180, where nothing between two delimiters is null and `""` an empty text; Python's own reader cannot tell these apart."""
    line: list[str | None] = []
    position = 0
    while position < len(text):
        value: str | None
        if text[position] == '"':
            end = position + 1
            while text[end] != '"' or text[end : end + 2] == '""':
                end += 2 if text[end] == '"' else 1
            value = text[position + 1 : end].replace('""', '"')
            position = end + 1
        else:
            end = min(found for found in (text.find(",", position), text.find("\n", position)) if found >= 0)
            value = text[position:end] or None
            position = end
        line.append(value)
        if text[position] == "\n":
            yield line
            line = []
        elif text[position + 1 : position + 2] == "\n":
            # A line that ends in a delimiter ends in a null.
            line.append(None)
            yield line
            line = []
            position += 1
        position += 1


def _read_json(local_path: Path) -> Iterator[dict[str, Any]]:
    yield from json.loads(local_path.read_text(encoding="utf-8"), parse_float=Decimal)


def _read_ndjson(local_path: Path) -> Iterator[dict[str, Any]]:
    for line in local_path.read_text(encoding="utf-8").split("\n"):
        if line:
            yield json.loads(line, parse_float=Decimal)


def _read_xml(local_path: Path) -> Iterator[dict[str, Any]]:
    for row in etree.fromstring(local_path.read_bytes()):
        yield {str(child.tag): _spelled(child) if len(child) else child.text or "" for child in row}


def _spelled(element: etree._Element) -> str:
    """A nested value, always spelled alike: without the namespaces that only the root declares."""
    return etree.tostring(element, method="c14n", exclusive=True, with_tail=False).decode()


def _read_parquet(local_path: Path) -> Iterator[dict[str, Any]]:
    table = pyarrow.parquet.read_table(local_path)
    for index, column in enumerate(table.schema):
        if column.type == pyarrow.timestamp("ns"):
            # Python's own datetime has no nanoseconds.
            table = table.set_column(index, column.name, table.column(index).cast(pyarrow.int64()))
    yield from table.to_pylist()


_READERS = {"csv": _read_csv, "json": _read_json, "ndjson": _read_ndjson, "xml": _read_xml, "parquet": _read_parquet}
