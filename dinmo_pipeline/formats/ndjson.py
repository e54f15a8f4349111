"""NDJSON: one JSON object a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dinmo_pipeline.formats.contract import Rows
from dinmo_pipeline.formats.json_values import json_key, json_text
from dinmo_pipeline.formats.names import clashes
from dinmo_pipeline.formats.text import COMPRESSED_ENDINGS, Lines, TextFormat
from dinmo_pipeline.formats.types import column_types, with_local_times
from dinmo_pipeline.warehouse.identifiers import quote_literal


class NdjsonFormat(TextFormat):
    """One JSON object a line; every line ends in a line feed."""

    type: Literal["ndjson"] = "ndjson"

    @property
    def extension(self) -> str:
        return "ndjson" + COMPRESSED_ENDINGS[self.compression]

    def lines(self, rows: Rows) -> Lines:
        return Lines(query=objects_query(rows), between="\n", empty="")

    def name_problems(self, names: Sequence[str]) -> list[str]:
        return repeated_names(names)


def objects_query(rows: Rows) -> str:
    """SQL that gives each row as the text of one JSON object, its keys in the order of the columns."""
    query, locals_ = with_local_times(rows)
    parts = []
    for index, (column, column_type, local) in enumerate(zip(rows.columns, column_types(rows), locals_, strict=True)):
        key = ("," if index else "{") + json_key(column.name)
        parts.append(f"{quote_literal(key)}, coalesce({json_text(column_type, f'v{index}', rows.timezone, local)}, 'null')")
    return f"SELECT concat({', '.join(parts)}, '}}') FROM ({query})"


def repeated_names(names: Sequence[str]) -> list[str]:
    """A finding for each name that stands there twice: a JSON object has each key once."""
    return clashes(names, lambda name: name, "are one key in a JSON object: give them different names")
