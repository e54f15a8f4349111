"""JSON in columns of a file, as far as it has more levels than anybody reads: a record that holds it is rejected."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow
import pyarrow.compute as pc

from dinmo_pipeline.formats.json.read_values import is_too_deep, too_deep
from dinmo_pipeline.formats.reader import LINE, RECORD, SHOWN, Reading, Reject


def without_deep_values(batch: pyarrow.RecordBatch, columns: Sequence[str], reading: Reading, levels: int) -> pyarrow.RecordBatch:
    """Return the records of the batch whose values in these columns have at most so many levels; the others become rejects of `reading`."""
    deep: dict[int, Reject] = {}
    for name in columns:
        texts = batch.column(name)
        # Hardly a text has so many brackets, so that hardly one is looked at.
        brackets = pc.add(pc.count_substring(texts, "["), pc.count_substring(texts, "{"))
        for index in pc.indices_nonzero(pc.fill_null(pc.greater(brackets, levels), False)).to_pylist():
            text = texts[index].as_py()
            if is_too_deep(text.encode(), levels):
                record, line = batch.column(RECORD)[index].as_py(), batch.column(LINE)[index].as_py()
                deep.setdefault(index, Reject(record, line, name, text[:SHOWN], f"it {too_deep(levels)}"))
    if not deep:
        return batch
    reading.rejects += [reject for _, reject in sorted(deep.items())]
    return batch.filter(pyarrow.array([index not in deep for index in range(len(batch))]))
