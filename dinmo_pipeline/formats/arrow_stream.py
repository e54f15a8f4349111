"""Arrow batches for DuckDB to read, whose error is kept: DuckDB would tell it as text alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow


class ArrowStream:
    """Batches of one schema, which `reader` gives once and up to an exception; `error` keeps that for the caller to raise."""

    def __init__(self, schema: pyarrow.Schema, batches: Iterable[pyarrow.RecordBatch]) -> None:
        self.error: Exception | None = None
        self._batches = batches
        self.reader = pyarrow.RecordBatchReader.from_batches(schema, self._read())

    def _read(self) -> Iterator[pyarrow.RecordBatch]:
        try:
            yield from self._batches
        except Exception as error:  # noqa: BLE001 - a caller's own iterator raises what it likes, and the caller raises it again
            self.error = error
