"""A JSON file's text in blocks, where it starts, and how a place in it is told."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from dinmo_pipeline.formats.decode import text_blocks
from dinmo_pipeline.formats.decompress import open_plain
from dinmo_pipeline.formats.json.read_pieces import newlines
from dinmo_pipeline.formats.json.read_values import JsonFault
from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline.intake_limits import IntakeLimits, how_to_raise

# What the caches of a processor hold: larger ones take twice as long.
PIECE_BYTES = 512 * 1024
_NO_OTHER_ENCODING = "JSON is UTF-8: ask for the file in UTF-8."


def blocks(path: Path, limits: IntakeLimits) -> Iterator[bytes]:
    """Yield the text in blocks. FileRefused where it is not UTF-8, or breaks a limit."""
    with open_plain(path, limits) as file:
        yield from text_blocks(file, path.name, "utf-8", PIECE_BYTES, _NO_OTHER_ENCODING, limits)


def text_start(path: Path) -> int:
    """Return the byte where the text starts: after a byte order mark."""
    with open_plain(path) as file:
        return 3 if file.read(3) == codecs.BOM_UTF8 else 0


def placed(error: JsonFault, text: bytes, line: int, offset: int) -> str:
    """Return the fault with line and byte, where `text` begins at these."""
    if error.byte is None:
        return error.reason
    return f"{error.reason} (line {line + newlines(text, 0, error.byte)}, byte {offset + error.byte:,} counted from 0)"


def too_long(path: Path, line: int, limits: IntakeLimits) -> FileRefused:
    """Return the error for a record that is longer than the limit."""
    return FileRefused(
        f"{path.name}: the record at line {line} is longer than {limits.record_bytes:,} bytes. "
        f"Split it, take what is so large out of it, or {how_to_raise('record_bytes')}."
    )
