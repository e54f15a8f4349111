"""JSON: one array of objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dinmo_pipeline.formats.contract import Rows
from dinmo_pipeline.formats.ndjson import objects_query, repeated_names
from dinmo_pipeline.formats.text import COMPRESSED_ENDINGS, Lines, TextFormat


class JsonFormat(TextFormat):
    """One array that holds an object for each row, an object a line."""

    type: Literal["json"] = "json"

    @property
    def extension(self) -> str:
        return "json" + COMPRESSED_ENDINGS[self.compression]

    def lines(self, rows: Rows) -> Lines:
        return Lines(query=objects_query(rows), head="[\n", between=",\n", tail="\n]\n", empty="[]\n")

    def name_problems(self, names: Sequence[str]) -> list[str]:
        return repeated_names(names)
