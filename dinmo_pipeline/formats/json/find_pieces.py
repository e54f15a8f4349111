"""A JSON file in pieces of whole records: one object a line, or the elements of one array, or one object.

Which of them a file is, its content tells, never its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

from dinmo_pipeline.formats.json.read_array import ArrayPieces
from dinmo_pipeline.formats.json.read_blocks import blocks, placed, text_start, too_long
from dinmo_pipeline.formats.json.read_pieces import SPACE, Elements, Lines, Piece, Pieces
from dinmo_pipeline.formats.json.read_values import JsonFault, plain_members
from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, how_to_raise


def pieces_of(path: Path, limits: IntakeLimits = DEFAULT_LIMITS) -> Pieces:
    """Return what gives the file's pieces from its start each time it is called. FileRefused, also while reading, where it is no JSON."""
    first = next((byte for block in blocks(path, limits) for byte in block.lstrip(SPACE)[:1]), None)
    if first is None:
        raise FileRefused(f"{path.name}: empty file. There is nothing to read in it; ask for it again if it should hold records.")
    if first == ord("["):
        return lambda: ArrayPieces(path, limits).pieces()
    if _is_lines(path, limits):
        return lambda: _line_pieces(path, limits)
    whole = _one_object(path, limits)
    return lambda: iter([whole])


def _line_pieces(path: Path, limits: IntakeLimits) -> Iterator[Lines]:
    held: list[bytes] = []
    line = 1
    for block in chain(blocks(path, limits), [b""]):
        # A return at the end of a block may be half of a line ending.
        end = max(block.rfind(b"\n"), block.rfind(b"\r", 0, -1)) + 1
        held.append(block[:end] if end else block)
        if sum(map(len, held)) > limits.record_bytes:
            raise too_long(path, line, limits)
        if end or not block:
            data = b"".join(held)
            if b"\r" in data:
                data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if data:
                yield Lines(data, line)
            line += data.count(b"\n")
            held = [block[end:]]


def _is_lines(path: Path, limits: IntakeLimits) -> bool:
    """Return whether the first or the second line that is not blank is an object."""
    records = chain.from_iterable(piece.records() for piece in _line_pieces(path, limits))
    for record in islice(records, 2):
        with suppress(JsonFault):
            plain_members(record.text)
            return True
    return False


def _one_object(path: Path, limits: IntakeLimits) -> Piece:
    held: list[bytes] = []
    for block in blocks(path, limits):
        held.append(block)
        if sum(map(len, held)) > limits.record_bytes:
            raise FileRefused(
                f"{path.name}: neither an array nor one object a line, and too long for one object: more than "
                f"{limits.record_bytes:,} bytes. Ask for one object a line, or {how_to_raise('record_bytes')}."
            )
    text = b"".join(held)
    try:
        plain_members(text)
    except JsonFault as error:
        raise FileRefused(
            f"{path.name}: neither an array of objects, one object nor one object a line: "
            f"taken as a whole it {placed(error, text, 1, text_start(path))}."
        ) from error
    return Elements(text, 1)
