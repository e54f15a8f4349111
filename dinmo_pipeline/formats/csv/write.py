"""CSV as RFC 4180 has it, by DuckDB's own writer on values that are text in our rules already."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import duckdb
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.base import Rows
from dinmo_pipeline.formats.csv.formulas import FORMULA_STARTS
from dinmo_pipeline.formats.json.write_values import JsonStyle, json_text
from dinmo_pipeline.formats.name_clashes import clashes
from dinmo_pipeline.formats.text_writer import COMPRESSED_ENDINGS, Lines, TextFormat, require_read_back
from dinmo_pipeline.formats.value_text import (
    DATES,
    EXACT_NUMBERS,
    FLOATS,
    NESTED,
    PLAIN,
    TextStyle,
    column_types,
    plain_text,
    with_local_times,
)
from dinmo_pipeline.sql.quoting import quote_literal

if TYPE_CHECKING:
    import pyarrow

Encoding = Literal[
    "utf-8", "utf-8-bom", "utf-16", "latin-1", "iso-8859-15", "windows-1250", "windows-1251", "windows-1252", "shift-jis", "gb18030"
]
# Codecs that would write a byte order mark of their own are not among these: the mark is text of the file's head.
_CODECS: dict[str, str] = {"utf-8-bom": "utf-8", "utf-16": "utf-16-le"}
_BYTE_ORDER_MARK = "\ufeff"
# Texts that some reader takes for null, or for the end of the data (PostgreSQL before 18), unless they stand in quotes.
_READ_OTHERWISE = ("\\N", "\\.", "NULL")
# What some reader trims from the end of a text without quotes.
_TRIMMED = (" ", "\t")
_NOT_TEXT = EXACT_NUMBERS | FLOATS | DATES | {"BOOLEAN"}
# DuckDB's writer prints these as our rules do; a cast before it would only cost time.
_NATIVE = (EXACT_NUMBERS - {"DECIMAL BELOW ONE"}) | {"BOOLEAN", "VARCHAR", "UUID", "ENUM", "BIT", "JSON"}


def _refuse(message: str) -> PydanticCustomError:
    return PydanticCustomError("dinmo", "{message}", {"message": message})


def _unescaped(value: object) -> object:
    return value.replace("\\t", "\t").replace("\\r", "\r").replace("\\n", "\n") if isinstance(value, str) else value


def _delimiter(text: str) -> str:
    if len(text) != 1:
        raise _refuse(f"{text!r} is no delimiter; write one character, or \\t for a tab")
    if text in '"\r\n\0':
        raise _refuse(f"{text!r} cannot be the delimiter, CSV needs it for something else; write another character")
    return text


def _null_text(text: str, others: ValidationInfo) -> str:
    if any(character in text for character in (others.data.get("delimiter", ""), '"', "\r", "\n", "\0") if character):
        raise _refuse(f"{text!r} has a delimiter, quote or line ending in it, and null is never quoted; write another text")
    return text


def _encoding(name: str, others: ValidationInfo) -> str:
    for option in ("delimiter", "null_text"):
        text = others.data.get(option, "")
        try:
            text.encode(_CODECS.get(name, name))
            require_read_back(text, name)
        except UnicodeEncodeError as error:
            message = f"{name} has no character {error.object[error.start]!r}, which {option!r} needs; change one of the two"
            raise _refuse(message) from None
    return name


class CsvFormat(TextFormat):
    """Comma-separated values; null is never quoted, so that it can be told from an empty text and from its own text."""

    type: Literal["csv"] = "csv"
    delimiter: Annotated[str, BeforeValidator(_unescaped), AfterValidator(_delimiter)] = Field(
        default=",", description="The character between two values; `\\t` is a tab."
    )
    header: bool = Field(default=True, description="Whether the first line holds the names of the columns.")
    quoting: Literal["minimal", "texts", "all"] = Field(
        default="minimal",
        description="minimal: quotes where some reader may need them; texts: around every text, and no number, boolean, date or time; "
        "all: around every value but null.",
    )
    null_text: Annotated[str, AfterValidator(_null_text)] = Field(
        default="", description="What stands for null, without quotes; an equal text is quoted."
    )
    line_ending: Annotated[Literal["\n", "\r\n"], BeforeValidator(_unescaped)] = Field(
        default="\n", description="What ends each line: `\\n` or `\\r\\n`."
    )
    encoding: Annotated[Encoding, AfterValidator(_encoding)] = Field(
        default="utf-8", description="The file's encoding; utf-8-bom and utf-16 begin with a byte order mark."
    )
    escape_formulas: bool = Field(
        default=False, description="Whether a text that a spreadsheet would run (=, +, -, @ first) gets a ' before it."
    )

    @property
    def extension(self) -> str:
        return "csv" + COMPRESSED_ENDINGS[self.compression]

    @property
    def file_encoding(self) -> str:
        return _CODECS.get(self.encoding, self.encoding)

    def lines(self, rows: Rows) -> Lines:
        head = self._head(rows)
        query, texts = self._texts(rows)
        names = [f"f{index}" for index in range(len(texts))]
        kinds = [column_type.kind for column_type in column_types(rows)]
        removed = forced = ""
        if self.quoting == "minimal":
            removed = _quoting_mark()
            texts = [self._marked(kind, text, self.style(rows), removed) for kind, text in zip(kinds, texts, strict=True)]
        else:
            forced = ", ".join(name for name, kind in zip(names, kinds, strict=True) if self.quoting == "all" or kind not in _NOT_TEXT)
        fields = f"DELIMITER {quote_literal(self.delimiter)}, QUOTE '\"', ESCAPE '\"', NULLSTR {quote_literal(self.null_text)}"
        named = ", ".join(f"{text} AS {name}" for text, name in zip(texts, names, strict=True))
        return Lines(
            query=f"SELECT {named} FROM ({query})",
            head=head,
            between=self.line_ending,
            tail=self.line_ending if head else "",
            empty=head,
            fields=fields + (f", FORCE_QUOTE ({forced})" if forced else ""),
            removed=removed,
        )

    def cells(self, local_path: Path, rows: Rows) -> Iterator[list[pyarrow.Array]]:
        from dinmo_pipeline.formats.csv.read_back import cells
        from dinmo_pipeline.formats.text_reader import text_after

        kinds = [column_type.kind for column_type in column_types(rows)]
        escaped = [self.escape_formulas and kind not in PLAIN for kind in kinds]
        blocks = text_after(local_path, self.compression, self.file_encoding, self._head(rows))
        return cells(local_path.name, blocks, self.delimiter, self.null_text, escaped)

    def nested_style(self, rows: Rows) -> TextStyle:
        # One value that is JSON: as JSON has it, whatever the style of the values around it.
        return TextStyle(rows.timezone)

    def name_problems(self, names: Sequence[str]) -> list[str]:
        return clashes(names, lambda name: name, "stand in one header: give them different names") if self.header else []

    def unencodable(self, connection: duckdb.DuckDBPyConnection, rows: Rows, character: str) -> Exception:
        query, texts = self._texts(rows)
        where = "the header" if self.header else "the file"
        for column, text in zip(rows.columns, texts, strict=True):
            found = connection.execute(
                f"SELECT value FROM (SELECT CAST({text} AS VARCHAR) AS value FROM ({query})) WHERE contains(value, $1) LIMIT 1", [character]
            ).fetchone()
            if found is not None:
                where = f"column {column.name!r}, for example in {found[0][:80]!r}"
                break
        return DataError(
            f"writing CSV in {self.encoding}: the character {character!r} (U+{ord(character):04X}) of {where} is not in that encoding; "
            "write `encoding: utf-8`, or replace the character in the query"
        )

    def _texts(self, rows: Rows) -> tuple[str, list[str]]:
        """Return a query and the expressions of its fields, null where the value is null."""
        style = self.style(rows)
        query, locals_ = with_local_times(rows, style)
        texts = []
        for index, (column_type, local) in enumerate(zip(column_types(rows), locals_, strict=True)):
            value, kind = f"v{index}", column_type.kind
            if kind in NESTED:
                text = json_text(column_type, value, JsonStyle(self.nested_style(rows)))
            else:
                text = value if kind in _NATIVE and style.is_printed(kind) else plain_text(kind, value, style, local)
            if self.escape_formulas and kind not in PLAIN:
                starts = ", ".join(f"chr({ord(character)})" for character in FORMULA_STARTS)
                text = f"CASE WHEN left({text}, 1) IN ({starts}) THEN '''' || {text} ELSE {text} END"
            texts.append(text)
        return query, texts

    def _marked(self, kind: str, text: str, style: TextStyle, mark: str) -> str:
        """Make the SQL of a field for DuckDB's writer, from that of its text: with the mark where only we know that a reader needs quotes.

        It quotes by itself what has the delimiter, a quote, a line ending or `#` in it, and what equals the text for null.
        """
        if style.is_plain(kind):
            return text
        text = text if kind == "VARCHAR" else f"CAST({text} AS VARCHAR)"
        # What is below `!`: no text at all, and those that begin with a blank, a tab or another control character.
        tests = [f"{text} < '!'", f"suffix({text}, ' ')", f"suffix({text}, chr(9))"]
        tests += [f"{text} = {quote_literal(word)}" for word in _READ_OTHERWISE]
        return f"CASE WHEN {' OR '.join(tests)} THEN concat({text}, chr(13), {quote_literal(mark[1:])}) ELSE {text} END"

    def _head(self, rows: Rows) -> str:
        mark = _BYTE_ORDER_MARK if self.encoding in _CODECS else ""
        names = self.delimiter.join(self._header_field(column.name) for column in rows.columns)
        return mark + names + self.line_ending if self.header else mark

    def _header_field(self, name: str) -> str:
        if self.escape_formulas and name.startswith(FORMULA_STARTS):
            name = "'" + name
        # A reader takes a mark at the start of the file for the encoding's; behind a quote it is part of the name.
        unsafe = (self.delimiter, '"', "\r", "\n", "#", _BYTE_ORDER_MARK)
        bare = name and name >= "!" and not name.endswith(_TRIMMED) and name not in (*_READ_OTHERWISE, self.null_text)
        if self.quoting != "minimal" or not bare or any(character in name for character in unsafe):
            return '"' + name.replace('"', '""') + '"'
        return name


def _quoting_mark() -> str:
    """Make a text that makes DuckDB's writer quote the value that it is added to, and that no value has: it is removed from the file.

    As the boundary of a MIME message it is not looked for in the values, but drawn from so many that none has it.
    """
    return "\r" + secrets.token_hex(16)
