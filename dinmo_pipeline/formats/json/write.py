"""JSON: one array of objects."""

from __future__ import annotations

from typing import Literal

from dinmo_pipeline.formats.base import Rows
from dinmo_pipeline.formats.json.write_lines import ObjectsFormat
from dinmo_pipeline.formats.text_writer import COMPRESSED_ENDINGS, Lines


class JsonFormat(ObjectsFormat):
    """One array that holds an object for each row, an object a line."""

    type: Literal["json"] = "json"

    @property
    def extension(self) -> str:
        return "json" + COMPRESSED_ENDINGS[self.compression]

    def lines(self, rows: Rows) -> Lines:
        return Lines(query=self.objects_query(rows), head="[\n", between=",\n", tail="\n]\n", empty="[]\n")
