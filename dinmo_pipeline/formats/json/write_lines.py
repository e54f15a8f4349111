"""NDJSON: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dinmo_pipeline.formats.base import Rows
from dinmo_pipeline.formats.json.write_values import JsonStyle, json_key, json_text
from dinmo_pipeline.formats.name_clashes import clashes
from dinmo_pipeline.formats.text_writer import COMPRESSED_ENDINGS, Lines, TextFormat
from dinmo_pipeline.formats.value_text import NESTED, column_types, with_local_times
from dinmo_pipeline.sql.quoting import quote_literal

if TYPE_CHECKING:
    import pyarrow

# Readers that go by Unicode's lines (Python's splitlines, Java's Scanner) end one here; escaped it is the same JSON.
_LINE_ENDS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class ObjectsFormat(TextFormat):
    """A format that holds a JSON object for each row."""

    numbers: Literal["exact", "text"] = Field(
        default="exact",
        description="exact: JSON numbers; text: strings for decimals and for integers of 64 bits and more, "
        "of which readers that know doubles alone lose digits.",
    )
    non_finite: Literal["text", "null"] = Field(
        default="text", description="NaN and the infinities, for which JSON has no number: as a string, or as null."
    )

    def name_problems(self, names: Sequence[str]) -> list[str]:
        """Find each name that stands there twice: a JSON object has each key once."""
        return clashes(names, lambda name: name, "are one key in a JSON object: give them different names")

    def cells(self, local_path: Path, rows: Rows) -> Iterator[list[pyarrow.Array]]:
        from dinmo_pipeline.formats.json.read_back import cells
        from dinmo_pipeline.formats.text_reader import text_after

        head = self.lines(rows).head
        names = [column.name for column in rows.columns]
        raw = [column_type.kind in NESTED or column_type.kind in ("JSON", "VARIANT") for column_type in column_types(rows)]
        return cells(local_path.name, text_after(local_path, self.compression, "utf-8", head[:1]), array=head != "", names=names, raw=raw)

    def objects_query(self, rows: Rows) -> str:
        """Make the SQL that gives each row as the text of one JSON object on one line, its keys in the order of the columns."""
        style = JsonStyle(self.style(rows), self.numbers == "text", self.non_finite == "null")
        query, locals_ = with_local_times(rows, style.text)
        parts = []
        for index, (column, column_type, local) in enumerate(zip(rows.columns, column_types(rows), locals_, strict=True)):
            key = ("," if index else "{") + json_key(column.name)
            parts.append(f"{quote_literal(key)}, coalesce({json_text(column_type, f'v{index}', style, local)}, 'null')")
        escaped = "line"
        for character, escape in _LINE_ENDS.items():
            escaped = f"replace({escaped}, chr({ord(character)}), {quote_literal(escape)})"
        # As many bytes as characters: all of it is ASCII, which is known at once.
        held = "strlen(line) <> length(line) AND (" + " OR ".join(f"contains(line, chr({ord(c)}))" for c in _LINE_ENDS) + ")"
        lines = f"SELECT concat({', '.join(parts)}, '}}') AS line FROM ({query})"
        return f"SELECT CASE WHEN {held} THEN {escaped} ELSE line END FROM ({lines})"


class NdjsonFormat(ObjectsFormat):
    """One JSON object a line; every line ends in a line feed."""

    type: Literal["ndjson"] = "ndjson"

    @property
    def extension(self) -> str:
        return "ndjson" + COMPRESSED_ENDINGS[self.compression]

    def lines(self, rows: Rows) -> Lines:
        return Lines(query=self.objects_query(rows), between="\n", empty="")
