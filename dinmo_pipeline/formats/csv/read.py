"""CSV files as records: strict, exact, and as fast as a reader that is neither."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow

from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.formats.csv.read_header import read_header, take_separator_line, without_first_lines
from dinmo_pipeline.formats.csv.read_records import Block, Records, read_blocks
from dinmo_pipeline.formats.csv.read_rejects import judge
from dinmo_pipeline.formats.csv.read_scan import Scanner
from dinmo_pipeline.formats.csv.read_values import values
from dinmo_pipeline.formats.decode import text_blocks, without_last_lines
from dinmo_pipeline.formats.decompress import open_plain
from dinmo_pipeline.formats.reader import Reading, Reject
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits

_BLOCK_BYTES = 1024 * 1024
_BLOCKS_AHEAD = 2


def open_csv(
    path: Path, dialect: CsvDialect, *, key: Collection[str] = (), known: Collection[str] = (), limits: IntakeLimits = DEFAULT_LIMITS
) -> CsvReading:
    """Read the header of the local CSV file at `path`, compressed or not as its name says; the rows follow in `batches`.

    `key` are columns, as identifiers, that must be there, `known` those that the feed has.
    FileRefused says why nothing of the file can be taken; OSError is the disk's.
    """
    return CsvReading(path, dialect, key, known=known, limits=limits)


class CsvReading(Reading):
    """A CSV file being read. `delimiter` is the one found or declared."""

    def __init__(
        self,
        path: Path,
        dialect: CsvDialect,
        key: Collection[str],
        block_bytes: int = _BLOCK_BYTES,
        *,
        known: Collection[str] = (),
        limits: IntakeLimits = DEFAULT_LIMITS,
    ) -> None:
        self.limits = limits
        self.rejects: list[Reject] = []
        self.warnings: list[str] = []
        self._path = path
        self._dialect = dialect
        self._block_bytes = block_bytes
        top = self._open()
        # Nothing is kept open: of a batch all headers are read before the first rows, and a process may have so many open files.
        self._header = read_header(path.name, top.blocks, top.line, top.dialect, key, known, limits)
        self.columns = self._header.columns
        self.delimiter = self._header.delimiter

    def batches(self) -> Iterator[pyarrow.RecordBatch]:
        null_texts = tuple(text.encode() for text in self._dialect.null_text)
        quote = ord(self._dialect.quote)
        number = 0
        for records in _without_header(_ahead(self._read(self._open()))):
            rejects = judge(self._path.name, records, self.columns, self._header.fields, number)
            self._keep(rejects.values())
            taken = np.delete(np.arange(records.size), list(rejects)) if rejects else np.arange(records.size)
            if records.unended and records.size - 1 in rejects:
                self.warnings.append(
                    f"{self._path.name}: the last line, {records.lines[-1]}, has no line break and is not whole: the file looks cut off."
                )
            fields = np.add.outer(np.arange(len(self.columns), dtype=np.int32), records.firsts[taken].astype(np.int32)).ravel()
            texts = values(records, fields, quote, null_texts)
            columns = [texts.slice(index * len(taken), len(taken)) for index in range(len(self.columns))]
            numbers = [pyarrow.array(number + 1 + taken), pyarrow.array(records.lines[taken])]
            if len(taken):
                yield pyarrow.RecordBatch.from_arrays([*numbers, *columns], schema=self.schema)
            number += records.size

    def originals(self, records: Collection[int]) -> Iterator[tuple[int, str]]:
        wanted = np.array(sorted(records), np.int64)
        number = 0
        for found in _without_header(self._read(self._open())):
            indices = wanted[slice(*np.searchsorted(wanted, [number + 1, number + found.size + 1]))] - number - 1
            for index in indices.tolist():
                yield number + index + 1, found.raw(index)
            number += found.size
            if not len(wanted) or number >= wanted[-1]:
                return

    def _open(self) -> _Top:
        blocks = _text(self._path, self._dialect, self._block_bytes, self.limits)
        separator, blocks = take_separator_line(blocks)
        dialect = self._dialect if separator is None else replace(self._dialect, delimiter=separator)
        return _Top(blocks, 1 + dialect.skip_lines + (separator is not None), dialect)

    def _read(self, top: _Top) -> Iterator[Block]:
        scanner = Scanner(self.delimiter, self._dialect.quote, self._dialect.escape)
        return read_blocks(self._path.name, top.blocks, scanner, top.line, self.limits)

    def _keep(self, rejects: Collection[Reject]) -> None:
        self.rejects += rejects
        self.check_rejects(self._path.name)


@dataclass
class _Top:
    """The text from the header on, the line that the header stands on, and the dialect with what the file itself says of it."""

    blocks: Iterator[bytes]
    line: int
    dialect: CsvDialect


def _text(path: Path, dialect: CsvDialect, block_bytes: int, limits: IntakeLimits) -> Iterator[bytes]:
    with open_plain(path, limits) as file:
        blocks = text_blocks(file, path.name, dialect.encoding, block_bytes, limits=limits)
        yield from without_first_lines(without_last_lines(blocks, dialect.skip_last_lines), dialect.skip_lines)


def _without_header(blocks: Iterator[Block]) -> Iterator[Records]:
    header = True
    for block in blocks:
        records = block.records()
        if header and records.size:
            records = records.after_first()
            header = False
        yield records


def _ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the same, read and scanned in another thread while these are used."""
    with ThreadPoolExecutor(1, "csv") as thread:
        waiting: deque[Future[Block | None]] = deque()
        try:
            while True:
                while len(waiting) < _BLOCKS_AHEAD:
                    waiting.append(thread.submit(next, blocks, None))
                found = waiting.popleft().result()
                if found is None:
                    return
                yield found
        finally:
            for future in waiting:
                future.cancel()
