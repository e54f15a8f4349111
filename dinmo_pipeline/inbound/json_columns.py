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


def written_texts(values: Sequence[Raw | bytes]) -> pyarrow.Array:
    """The texts of JSON values: strings without quotes and escapes, null as null, all else as it is written."""
    joined = _BETWEEN.join(values)
    written = pc.split_pattern(pyarrow.array([joined], pyarrow.large_binary()), _BETWEEN).values
    texts = written
    if b'"' in joined:
        strings = pc.starts_with(written, '"')
        texts = pc.if_else(strings, pc.binary_slice(written, 1, -1), written)
        if b"\\" in joined:
            escaped = pc.and_(strings, pc.match_substring(written, "\\"))
            plain = [msgspec.json.decode(value, type=str).encode() for value in written.filter(escaped).to_pylist()]
            texts = pc.replace_with_mask(texts, escaped, pyarrow.array(plain, written.type))
    if b"null" in joined:
        texts = pc.if_else(pc.equal(written, b"null"), None, texts)
    return texts.cast(_TEXT)


def nested(values: Sequence[Raw]) -> list[bytes]:
    """Those of the values that are objects or arrays."""
    joined = _BETWEEN.join(values)
    if b"{" not in joined and b"[" not in joined:
        return []
    return [text for text in joined.split(_BETWEEN) if text[:1] in (b"{", b"[")]


def colons(column: pyarrow.Array) -> int:
    """How many colons stand in a column of text."""
    return int(pc.sum(pc.count_substring(column, ":")).as_py() or 0)
