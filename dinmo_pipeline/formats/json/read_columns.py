"""Members of JSON objects as they are written, made into columns of text."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow
import pyarrow.compute as pc
from msgspec import Raw

_TEXT = pyarrow.large_string()
# Stands in no JSON, whatever it holds.
_BETWEEN = b"\0"
_OPENING = (b"{", b"[")


def joined(values: Sequence[Raw | bytes]) -> bytes:
    """Return the values of a column, in what the other functions take."""
    return _BETWEEN.join(values)


def written_texts(values: bytes) -> pyarrow.Array:
    """Return the texts of joined JSON values: strings without quotes and escapes, null as null, all else as it is written."""
    written = pc.split_pattern(pyarrow.array([values], pyarrow.large_binary()), _BETWEEN).values
    texts = written
    if b'"' in values:
        strings = pc.starts_with(written, '"')
        texts = pc.if_else(strings, pc.binary_slice(written, 1, -1), written)
        if b"\\" in values:
            escaped = pc.and_(strings, pc.match_substring(written, "\\"))
            plain = [msgspec.json.decode(value, type=str).encode() for value in written.filter(escaped).to_pylist()]
            texts = pc.replace_with_mask(texts, escaped, pyarrow.array(plain, written.type))
    if b"null" in values:
        texts = pc.if_else(pc.equal(written, b"null"), None, texts)
    return texts.cast(_TEXT)


def deep_values(values: bytes, levels: int) -> list[bytes]:
    """Return those of the joined values that hold an object, or arrays that may have more than `levels` levels."""
    if b"{" not in values and b"[" not in values:
        return []
    return [value for value in values.split(_BETWEEN) if value[:1] in _OPENING and (b"{" in value or len(value) > levels)]


def colons(column: pyarrow.Array) -> int:
    """Return how many colons stand in a column of text."""
    return int(pc.sum(pc.count_substring(column, ":")).as_py() or 0)
