"""The text of an inbound file: UTF-8 without its byte order mark, in blocks of whole characters, checked while it streams."""

from __future__ import annotations

import codecs
import io
import time
from collections.abc import Iterator

import numpy as np
import pyarrow

from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, how_to_raise

_BREAKS = b"\r\n"

OTHER_ENCODING = "Declare the feed's encoding, or ask for the file in UTF-8."


def text_blocks(
    file: io.RawIOBase,
    name: str,
    encoding: str,
    block_bytes: int,
    advice: str = OTHER_ENCODING,
    limits: IntakeLimits = DEFAULT_LIMITS,
    *,
    mark: bytes = codecs.BOM_UTF8,
) -> Iterator[bytes]:
    """Yield the file's text as valid UTF-8, whatever `encoding` it has; no block is empty, none ends inside a character.

    `name` is the file's, for errors, and `advice` what to do about bytes that are none of the encoding. `mark` is left out where the text
    begins with it.
    FileRefused where bytes are none of the encoding, with their position, where the text
    ends in NUL, and where reading and using it takes longer than `file_seconds`.
    """
    pieces = _in_time(file, name, block_bytes, limits.file_seconds)
    is_utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    decoded = _checked(pieces, name, advice) if is_utf8 else _transcoded(pieces, name, encoding, advice)
    first = True
    last = b""
    for text in decoded:
        block = text.removeprefix(mark) if first else text
        first = False
        if block:
            last = block[-1:]
            yield block
    if last == b"\0":
        raise FileRefused(
            f"{name}: the file ends in NUL bytes, it looks truncated: room was made for it and never filled. Ask for it again."
        )


def _in_time(file: io.RawIOBase, name: str, block_bytes: int, seconds: int) -> Iterator[bytes]:
    ends = time.monotonic() + seconds
    while piece := file.read(block_bytes):
        if time.monotonic() > ends:
            raise FileRefused(
                f"{name}: reading it takes longer than {seconds:,} seconds. Ask for it in several files, or {how_to_raise('file_seconds')}."
            )
        yield piece


def without_last_lines(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yield the text without its last `count` lines; blank lines at the end do not count."""
    held = b""
    for block in blocks:
        held += block
        end = _start_of_last_lines(held, count)
        if end:
            yield held[:end]
            held = held[end:]


def _start_of_last_lines(text: bytes, count: int) -> int:
    start = len(text)
    for _ in range(count):
        end = len(text[:start].rstrip(_BREAKS))
        start = max(text.rfind(b"\n", 0, end), text.rfind(b"\r", 0, end)) + 1
    return start


def _checked(pieces: Iterator[bytes], name: str, advice: str) -> Iterator[bytes]:
    position = 0
    rest = b""
    for piece in pieces:
        data = rest + piece
        end = _whole_characters(data)
        if not _is_utf8(data, end):
            raise _bad_bytes(data[:end], position, name, advice)
        if end:
            yield data[:end] if end < len(data) else data
        position += end
        rest = data[end:]
    if rest:
        raise _bad_bytes(rest, position, name, advice)


def _whole_characters(data: bytes) -> int:
    """Return where the last character begins if it may be incomplete, else the end."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < needed else len(data)
        if byte < 0x80:
            break
    return len(data)


def _is_utf8(data: bytes, end: int) -> bool:
    # Arrow checks seven times faster than Python decodes, beside other threads.
    offsets = pyarrow.py_buffer(np.array([0, end], np.int32))
    try:
        pyarrow.StringArray.from_buffers(1, offsets, pyarrow.py_buffer(data)).validate(full=True)
    except pyarrow.ArrowInvalid:
        return False
    return True


def _bad_bytes(data: bytes, position: int, name: str, advice: str) -> FileRefused:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return _refusal(name, "utf-8", position + error.start, error, advice)
    raise AssertionError(f"{name}: Arrow and Python disagree on whether the text after byte {position} is UTF-8")


def _transcoded(pieces: Iterator[bytes], name: str, encoding: str, advice: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    fed = 0
    for piece, final in _with_end(pieces):
        fed += len(piece)
        try:
            text = decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            # What the decoder had kept of earlier pieces stands before this one in the error.
            raise _refusal(name, encoding, fed - len(error.object) + error.start, error, advice) from error
        try:
            yield text.encode()
        except UnicodeEncodeError as error:
            raise FileRefused(f"{name}: {error.object[error.start]!r}, found before byte {fed:,}, is half a character.") from error


def _with_end(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    for piece in pieces:
        yield piece, False
    yield b"", True


def _refusal(name: str, encoding: str, position: int, error: UnicodeDecodeError, advice: str) -> FileRefused:
    found = error.object[error.start : error.start + 4].hex(" ")
    return FileRefused(f"{name}: byte {position:,} of the file, counted from 0 ({found}), is not {encoding} ({error.reason}). {advice}")
