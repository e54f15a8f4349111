"""What CSV, JSON, NDJSON and XML share: a file is lines that SQL makes, with something before, between and after.

DuckDB writes the lines in UTF-8, as they are; another encoding or compression is a second pass over the finished file,
in blocks of fixed size, so that the same rows give the same bytes whatever the number of threads.
"""

from __future__ import annotations

import codecs
import gzip
import re
import shutil
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, ClassVar, Literal, Self, cast

import duckdb
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from dinmo_pipeline.formats.base import Column, Format, Rows, Written
from dinmo_pipeline.formats.session import writing_settings
from dinmo_pipeline.formats.value_text import BOOLEANS, ISO, SQL, TextStyle
from dinmo_pipeline.local_files.contents import holds
from dinmo_pipeline.local_files.scratch import new_file, scratch_file
from dinmo_pipeline.sql.quoting import quote_literal

if TYPE_CHECKING:
    import pyarrow

Compression = Literal["none", "gzip", "zstd"]
COMPRESSED_ENDINGS: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}

# Python writes these as the bytes of \ and ~, which is what every reader takes them for.
_NOT_READ_BACK = {"shift-jis": ("\u00a5", "\u203e")}

_BLOCK = 1 << 20
_GZIP_LEVEL = 6


# One column, byte by byte. Forcing quotes that are no character spares the writer the search for what would need them.
_AS_IT_IS = "QUOTE '', ESCAPE '', DELIMITER '', FORCE_QUOTE *"


# What DuckDB's strftime knows, less those that name a zone: the clock that is written has none.
_DIRECTIVE = re.compile(r"%(?:-[dmyHIMSj]|[aAwdbBmyYHIpMSfgnjUWcxXGVu%])")


def _timestamps(text: str) -> str:
    if text in (ISO, SQL):
        return text
    rest = _DIRECTIVE.sub("", text)
    if "%" not in text or "%" in rest:
        unknown = f"it has {rest[rest.index('%') :][:2]!r}" if "%" in rest else "it has no %"
        message = f"{text!r} is neither iso nor sql nor a pattern such as '%d/%m/%Y %H:%M': {unknown}"
        raise PydanticCustomError("dinmo", "{message}", {"message": message})
    return text


@dataclass(frozen=True)
class Lines:
    """A text file to be: `query` gives one text column, a line a row, never null.

    `head` comes first, `between` between two lines, `tail` last; both `head` and `tail` or neither (then `between` ends every
    line). `empty` is the whole file where there is no line. `fields`, where there are several columns, are the options of the CSV
    writer that make one line of them. `removed` stands in the lines that DuckDB writes, and not in the file.
    """

    query: str
    between: str
    empty: str
    head: str = ""
    tail: str = ""
    fields: str = _AS_IT_IS
    removed: str = ""


class TextFormat(Format):
    """A format whose file is text; subclasses say which lines."""

    embeds_json: ClassVar[bool] = True
    """Whether a JSON value inside of a nested one stands there as it is, and not as a string."""

    compression: Compression = Field(default="none", description="Compression around the whole file: none, gzip or zstd.")
    booleans: Literal["true/false", "1/0", "Y/N"] = Field(default="true/false", description="The words for true and false.")
    timestamps: Annotated[str, AfterValidator(_timestamps)] = Field(
        default=ISO,
        description="iso: `2025-07-01T14:00:00+02:00`; sql: `2025-07-01 12:00:00`, in UTC where there is a zone; "
        "or a strftime pattern such as `%d/%m/%Y %H:%M`, in the activation's zone.",
    )
    decimal: Literal[".", ","] = Field(default=".", description="What stands before the fraction of a number.")

    def style(self, rows: Rows) -> TextStyle:
        """Say how values that are not nested read."""
        return TextStyle(rows.timezone, BOOLEANS[self.booleans], self.timestamps, self.decimal)

    @property
    def file_encoding(self) -> str:
        """The Python name of the file's encoding."""
        return "utf-8"

    @abstractmethod
    def lines(self, rows: Rows) -> Lines:
        """Return the SQL and the frame of the file."""

    @abstractmethod
    def cells(self, local_path: Path, rows: Rows) -> Iterator[list[pyarrow.Array]]:
        """Yield the texts of a file of such rows, batch by batch: an array a column, null where the value is. Raises DataError."""

    def nested_style(self, rows: Rows) -> TextStyle:
        """Say how values inside of nested ones read."""
        return self.style(rows)

    def unencodable(self, connection: duckdb.DuckDBPyConnection, rows: Rows, character: str) -> Exception:
        """Return the error to raise where `character` cannot be written in the file's encoding."""
        return UnicodeError(f"{character!r} cannot be written in {self.file_encoding}")

    def findings(self, connection: duckdb.DuckDBPyConnection, rows: Rows, plain_path: Path) -> Written:
        """Return what is to be said of the file, which stands at `plain_path` before its encoding and compression."""
        return Written()

    def uncompressed(self) -> Self:
        return self.model_copy(update={"compression": "none"})

    def write(self, connection: duckdb.DuckDBPyConnection, rows: Rows, local_path: Path) -> Written:
        with writing_settings(connection, rows.timezone):
            lines = self.lines(rows)
            if self.compression == "none" and self.file_encoding == "utf-8":
                with new_file(local_path):
                    _copy(connection, lines, local_path)
                    return self.findings(connection, rows, local_path)
            with scratch_file(local_path, "plain") as plain_path:
                with new_file(plain_path):
                    _copy(connection, lines, plain_path)
                with new_file(local_path):
                    try:
                        _transform(plain_path, local_path, self.file_encoding, self.compression)
                    except UnicodeEncodeError as error:
                        raise self.unencodable(connection, rows, error.object[error.start]) from error
                    return self.findings(connection, rows, plain_path)

    def read(self, connection: duckdb.DuckDBPyConnection, local_path: Path, columns: Sequence[Column], timezone: str) -> str:
        # Loaded for what is read alone: Arrow takes longer than many a sync.
        from dinmo_pipeline.formats.text_reader import load

        return load(connection, self, local_path, Rows("", tuple(columns), timezone))

    def line_after(self, connection: duckdb.DuckDBPyConnection, before: Rows, count: int, local_path: Path) -> int:
        with writing_settings(connection, before.timezone):
            lines = self.lines(before)
            line = 1 + lines.head.count("\n") + count * lines.between.count("\n")
            if not count:
                return line
            with new_file(local_path):
                _copy(connection, lines, local_path)
            # What stands around and between the records is known: all other line feeds are in their values.
            ends = count - 1 if lines.head else count
            frame = lines.head.count("\n") + lines.tail.count("\n") + ends * lines.between.count("\n")
            try:
                return line + _line_feeds(local_path) - frame
            finally:
                local_path.unlink()


def _line_feeds(local_path: Path) -> int:
    with local_path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))


def _copy(connection: duckdb.DuckDBPyConnection, lines: Lines, local_path: Path) -> None:
    # The CSV writer is the one that writes text in parallel. A temporary file of its own would lose the mode of ours.
    frame = f"PREFIX {quote_literal(lines.head)}, SUFFIX {quote_literal(lines.tail)}, " if lines.head else ""
    counted = connection.execute(
        f"COPY ({lines.query}) TO {quote_literal(str(local_path))} (FORMAT csv, HEADER false, {lines.fields}, "
        f"COMPRESSION none, USE_TMP_FILE false, {frame}NEW_LINE {quote_literal(lines.between)})"
    ).fetchone()
    if counted == (0,):
        local_path.write_bytes(lines.empty.encode())
    elif lines.removed and holds(local_path, removed := lines.removed.encode()):
        _remove(removed, local_path)


def _remove(removed: bytes, local_path: Path) -> None:
    """Take every `removed` out of the file, in place."""
    overlap = len(removed) - 1
    held = b""
    with local_path.open("rb") as reading, local_path.open("r+b") as writing:
        while block := reading.read(_BLOCK):
            kept = (held + block).replace(removed, b"")
            ready, held = kept[:-overlap], kept[-overlap:]
            writing.write(ready)
        writing.write(held)
        writing.truncate()


def _transform(source: Path, target: Path, encoding: str, compression: Compression) -> None:
    with source.open("rb") as plain, target.open("wb") as file, _compressor(file, compression) as out:
        if encoding == "utf-8":
            shutil.copyfileobj(plain, out, _BLOCK)
            return
        decoder, encoder = codecs.getincrementaldecoder("utf-8")(), codecs.getincrementalencoder(encoding)()
        while block := plain.read(_BLOCK):
            text = decoder.decode(block)
            require_read_back(text, encoding)
            out.write(encoder.encode(text))
        out.write(encoder.encode(decoder.decode(b"", final=True), final=True))


def require_read_back(text: str, encoding: str) -> None:
    """Raise UnicodeEncodeError where `text` has a character that Python's codec would write as another one."""
    for character in _NOT_READ_BACK.get(encoding, ()):
        if (at := text.find(character)) >= 0:
            raise UnicodeEncodeError(encoding, text, at, at + 1, "is written as another character")


@contextmanager
def _compressor(file: BinaryIO, compression: Compression) -> Iterator[BinaryIO]:
    if compression == "none":
        yield file
    elif compression == "gzip":
        # Neither a name nor a time in the header: they would be other bytes for the same rows.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0) as out:
            yield cast(BinaryIO, out)
    else:
        # Loaded for the files that need it alone: it takes longer than many a sync.
        import pyarrow as pa

        with pa.CompressedOutputStream(file, "zstd") as out:
            yield cast(BinaryIO, out)
