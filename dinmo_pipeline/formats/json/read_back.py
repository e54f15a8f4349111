"""Reading back the JSON and NDJSON that `write` wrote: an object a line, its members as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pyarrow
import pyarrow.compute as pc
from msgspec import Raw

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.json.read_columns import joined, written_texts
from dinmo_pipeline.formats.text_reader import pieces

_ROWS = msgspec.json.Decoder(list[dict[str, Raw]])


def cells(name: str, blocks: Iterator[bytes], *, array: bool, names: Sequence[str], raw: Sequence[bool]) -> Iterator[list[pyarrow.Array]]:
    """Yield the members of the objects as texts, in the order of `names`; `raw` tells which are left as JSON has them.

    `array`: whether the objects stand in an array, whose bracket is read.
    """
    expected = tuple(names)
    count = 0
    for piece in _members(name, blocks, array=array):
        try:
            rows = _ROWS.decode(b"[" + piece + b"]")
        except (msgspec.DecodeError, RecursionError) as error:
            raise DataError(f"reading {name}: after record {count:,}: it is no JSON: {error}") from error
        if other := next((row for row in rows if tuple(row) != expected), None):
            raise DataError(f"reading {name}: after record {count:,}: an object has the members {list(other)}, and not {list(names)}")
        count += len(rows)
        columns = zip(*(row.values() for row in rows), strict=True)
        yield [_raw(joined(c)) if is_raw else written_texts(joined(c)) for c, is_raw in zip(columns, raw, strict=True)]


def _raw(values: bytes) -> pyarrow.Array:
    written = pc.split_pattern(pyarrow.array([values], pyarrow.large_binary()), b"\0").values
    return pc.if_else(pc.equal(written, b"null"), None, written).cast(pyarrow.large_string())


def _members(name: str, blocks: Iterator[bytes], *, array: bool) -> Iterator[bytes]:
    """Yield the text in pieces of whole records, with commas between them."""
    empty, between = True, b",\n" if array else b"\n"
    for piece, final in pieces(name, blocks, between):
        if not final:
            empty = False
            yield piece if array else piece.replace(between, b",")
        elif array and piece.endswith(b"\n]\n"):
            yield piece[:-3]
        elif piece != (b"]\n" if array else b"") or (array and not empty):
            raise DataError(f"reading {name}: it is cut off after {piece[-80:].decode(errors='replace')!r}")
