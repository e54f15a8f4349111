"""The fields of CSV records as values: quotes taken off, doubled and escaped quotes made single, nothing made null."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow

from dinmo_pipeline.formats.csv.read_quotes import Flags, Positions
from dinmo_pipeline.formats.csv.read_records import Records


def values(records: Records, fields: Positions, quote: int, null_texts: tuple[bytes, ...] = ()) -> pyarrow.LargeStringArray:
    """Return the values of these fields, in this order. Null is a field without a character, or one of `null_texts` without quotes."""
    data, starts, ends = np.frombuffer(records.text, np.uint8), records.starts, records.ends
    dropped = records.found.dropped
    if len(dropped):
        data = np.delete(data, dropped)
        starts = starts - np.searchsorted(dropped, starts)
        ends = ends - np.searchsorted(dropped, ends)
    null = starts == ends
    for text in null_texts:
        null |= _are(data, starts, ends, text)
    if records.text.find(quote) >= 0:
        quoted = data[np.minimum(starts, len(data) - 1)] == quote
        quoted &= ~null
        starts = starts + quoted
        # A quote alone is an unclosed value.
        ends = np.maximum(ends - quoted, starts)
    # Every second text of this array is a field, those between are what separates them: Arrow takes the fields together.
    offsets = np.empty(2 * len(starts) + 1, np.int32)
    offsets[0:-1:2] = starts
    offsets[1::2] = ends
    offsets[-1] = ends[-1]
    texts = pyarrow.StringArray.from_buffers(2 * len(starts), pyarrow.py_buffer(offsets), pyarrow.py_buffer(data))
    taken = texts.take(pyarrow.array(2 * fields)).cast(pyarrow.large_string())
    present = ~null[fields]
    if present.all():
        return taken
    validity = pyarrow.py_buffer(np.packbits(present, bitorder="little"))
    return pyarrow.Array.from_buffers(taken.type, len(taken), [validity, *taken.buffers()[1:]])


def _are(data: npt.NDArray[np.uint8], starts: Positions, ends: Positions, text: bytes) -> Flags:
    """Return which fields consist of exactly this text."""
    same: Flags = ends - starts == len(text)
    for index, byte in enumerate(text):
        same[same] = data[starts[same] + index] == byte
    return same
