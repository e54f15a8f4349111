"""XML: one element a row, one element a value, in the order of the columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeGuard

import duckdb
from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from dinmo_pipeline.formats.base import Format, Rows, Written
from dinmo_pipeline.formats.name_clashes import clashes
from dinmo_pipeline.formats.text_writer import COMPRESSED_ENDINGS, Lines, TextFormat
from dinmo_pipeline.formats.value_text import TextStyle, column_types, with_local_times
from dinmo_pipeline.formats.xml.schema import SchemaColumn, XmlSchema, is_schema_name
from dinmo_pipeline.formats.xml.write_values import REPLACEMENT, XmlElements, needs_nil, xml_name
from dinmo_pipeline.local_files.contents import holds
from dinmo_pipeline.sql.quoting import quote_literal

if TYPE_CHECKING:
    import pyarrow

_NIL_NAMESPACE = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
_NOT_IN_SCHEMA = "XML Schema knows no element <{name}>: write the name with other letters, or leave xsd out"


def _name(text: str) -> str:
    valid = xml_name(text)
    if valid != text:
        message = f"{text!r} is no name for an XML element; write {valid!r}"
        raise PydanticCustomError("dinmo", "{message}", {"message": message})
    return text


def _with_schema(xsd: bool, others: ValidationInfo) -> bool:
    for option in ("root", "row"):
        if xsd and (name := others.data.get(option)) is not None and not is_schema_name(name):
            raise PydanticCustomError("dinmo", "{message}", {"message": _NOT_IN_SCHEMA.format(name=name)})
    return xsd


class XmlFormat(TextFormat):
    """One root element that holds an element for each row."""

    embeds_json: ClassVar[bool] = False

    type: Literal["xml"] = "xml"
    root: Annotated[str, AfterValidator(_name)] = Field(default="rows", description="The name of the element around all rows.")
    row: Annotated[str, AfterValidator(_name)] = Field(default="row", description="The name of the element of each row.")
    nulls: Literal["absent", "nil"] = Field(
        default="absent", description='absent: no element where the value is null; nil: an empty one with xsi:nil="true".'
    )

    xsd: Annotated[bool, AfterValidator(_with_schema)] = Field(
        default=False, description="Write `<name>.xsd`, too: the XML Schema that every file of the delivery is valid by."
    )

    @property
    def extension(self) -> str:
        return "xml" + COMPRESSED_ENDINGS[self.compression]

    def lines(self, rows: Rows) -> Lines:
        namespace = _NIL_NAMESPACE if self.nulls == "nil" or any(map(needs_nil, column_types(rows))) else ""
        head = f'<?xml version="1.0" encoding="UTF-8"?>\n<{self.root}{namespace}>\n'
        return Lines(
            query=self._query(rows, REPLACEMENT),
            head=head,
            between="\n",
            tail=f"\n</{self.root}>\n",
            empty=f"{head}</{self.root}>\n",
        )

    def findings(self, connection: duckdb.DuckDBPyConnection, rows: Rows, plain_path: Path) -> Written:
        # Counting runs the query again, so it is done only where the file has the mark of a replacement at all.
        if not holds(plain_path, REPLACEMENT.encode()):
            return Written()
        replaced, removed = (f"(SELECT sum(length(line)) FROM ({self._query(rows, mark)}))" for mark in (REPLACEMENT, ""))
        (count,) = connection.execute(f"SELECT {replaced} - {removed}").fetchone() or (0,)
        return Written(replaced_characters=int(count))

    def name_problems(self, names: Sequence[str]) -> list[str]:
        problems = clashes(names, xml_name, "become one XML element, <{written}>: give them different names")
        unknown = [name for name in map(xml_name, names) if self.xsd and not is_schema_name(name)]
        return problems + [_NOT_IN_SCHEMA.format(name=name) for name in unknown]

    def cells(self, local_path: Path, rows: Rows) -> Iterator[list[pyarrow.Array]]:
        from dinmo_pipeline.formats.text_reader import text_after
        from dinmo_pipeline.formats.xml.read_back import cells

        head = self.lines(rows).head
        columns = [(column.name, column_type) for column, column_type in zip(rows.columns, column_types(rows), strict=True)]
        blocks = text_after(local_path, self.compression, "utf-8", head)
        return cells(local_path.name, blocks, head=head, root=self.root, row=self.row, columns=columns)

    def style(self, rows: Rows) -> TextStyle:
        # xs:double calls them so.
        return replace(super().style(rows), infinity="INF")

    def xml_schema(self, columns: Sequence[SchemaColumn], timezone: str) -> bytes:
        """Write the XML Schema of files with these columns."""
        style = self.style(Rows("", (), timezone))
        return XmlSchema(root=self.root, row=self.row, style=style, nulls=self.nulls).render(columns)

    def _query(self, rows: Rows, replacement: str) -> str:
        style = self.style(rows)
        query, locals_ = with_local_times(rows, style)
        elements = XmlElements(style=style, nil=self.nulls == "nil", replacement=replacement)
        parts = [
            elements.element(xml_name(column.name), column_type, f"v{index}", local)
            for index, (column, column_type, local) in enumerate(zip(rows.columns, column_types(rows), locals_, strict=True))
        ]
        start, end = quote_literal(f"<{self.row}>"), quote_literal(f"</{self.row}>")
        return f"SELECT concat({start}, {', '.join(parts)}, {end}) AS line FROM ({query})"


def has_schema(form: Format) -> TypeGuard[XmlFormat]:
    """Say whether an XML Schema goes with the files."""
    return isinstance(form, XmlFormat) and form.xsd
