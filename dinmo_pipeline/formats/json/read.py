"""Reading JSON: every record's members as text, exactly as they are written.

A piece is decoded as a whole, column by column. Where anything is unusual about it, it is read again record by record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path

import pyarrow
from msgspec import UNSET

from dinmo_pipeline.formats.json.find_pieces import pieces_of
from dinmo_pipeline.formats.json.read_columns import colons, deep_values, joined, written_texts
from dinmo_pipeline.formats.json.read_names import Names
from dinmo_pipeline.formats.json.read_pieces import Lines, Piece, Pieces, Record
from dinmo_pipeline.formats.json.read_values import JsonFault, NoObject, check_nesting
from dinmo_pipeline.formats.reader import FileRefused, Reading, Reject, listed
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits

_BATCH_BYTES = 16 * 1024 * 1024
_NULL = b"null"
# How a colon can be escaped.
_ESCAPED_COLON = b"\\u003"


def open_json(path: Path, *, key: Collection[str] = (), known: Collection[str] = (), limits: IntakeLimits = DEFAULT_LIMITS) -> JsonReading:
    """Return an array of objects, one object, or one object a line, by its content; read once here for its names.

    `known` are columns that the feed has.
    FileRefused where it is none of them, where it holds names that no column can have, and where it has records and lacks a column of
    `key`.
    """
    pieces = pieces_of(path, limits)
    reading = JsonReading(path.name, pieces, known, limits)
    missing = [name for name in key if name not in reading.columns]
    if missing and any(True for piece in pieces() for _ in piece.records()):
        if not reading.columns:
            # Perhaps no record can be read: then the first of them says why.
            deque(reading.batches(), maxlen=0)
        found = listed(reading.columns) or "none"
        raise FileRefused(f"{path.name}: lacks the key column {', '.join(missing)}. Its columns are: {found}.")
    return reading


class JsonReading(Reading):
    """The records of pieces, which are read once for their names when it is made; `file_name` is for errors."""

    records_name_columns = True

    def __init__(self, file_name: str, pieces: Pieces, known: Collection[str] = (), limits: IntakeLimits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        names = Names(file_name, known, limits)
        names.learn(pieces)
        self.columns = tuple(names.columns)
        self.rejects: list[Reject] = []
        self.warnings: list[str] = []
        self._file = file_name
        self._pieces = pieces
        self._names = names
        self._fields = names.fields
        self._row = names.row_type()
        self._loaded = 0

    def batches(self) -> Iterator[pyarrow.RecordBatch]:
        held: list[pyarrow.RecordBatch] = []
        held_bytes = record = 0
        for piece in self._pieces():
            batch = self._whole(piece, record + 1)
            if batch is None:
                batch, count = self._one_by_one(piece, record + 1)
            else:
                count = len(batch)
            record += count
            self._loaded += len(batch)
            held.append(batch)
            held_bytes += batch.nbytes
            if held_bytes > _BATCH_BYTES:
                yield pyarrow.concat_batches(held)
                held, held_bytes = [], 0
        if self.rejects and not self._loaded:
            first = self.rejects[0]
            raise FileRefused(f"{self._file}: none of its {record:,} records can be read. The first, at line {first.line}, {first.reason}.")
        if held:
            yield pyarrow.concat_batches(held)

    def originals(self, records: Collection[int]) -> Iterator[tuple[int, str]]:
        wanted = set(records)
        number = 0
        for piece in self._pieces() if wanted else ():
            for record in piece.records():
                number += 1
                if number in wanted:
                    yield number, record.text.decode()
            if number >= max(wanted):
                return

    def columns_without(self, records: Collection[int]) -> tuple[str, ...]:
        left = set(self.columns)
        number = 0
        for piece in self._pieces():
            for record in piece.records():
                number += 1
                if left and number not in records:
                    with suppress(JsonFault):
                        left.difference_update(self._names.members_by_column(record.text))
        return tuple(name for name in self.columns if name not in left)

    def _whole(self, piece: Piece, first: int) -> pyarrow.RecordBatch | None:
        """Return all records of a piece, if nothing is wrong with any of them; else None."""
        if self._row is None or len(self._fields) != len(self.columns) or _ESCAPED_COLON in piece.data:
            return None
        rows = piece.decode(self._row)
        lines = piece.lines(len(rows)) if rows else None
        if not rows or lines is None:
            return None
        columns, members_found = [], 0
        for number, (_, is_text) in enumerate(self._fields):
            values = list(map(attrgetter(f"f{number}"), rows))
            there = len([value for value in values if value is not UNSET])
            if there < len(values):
                values = [(None if is_text else _NULL) if value is UNSET else value for value in values]
            column = pyarrow.array(values, pyarrow.large_string()) if is_text else _written(joined(values), self.limits.json_levels)
            if column is None:
                return None
            members_found += there
            columns.append(column)
        # Each member has one colon, the others stand in its value: one more belongs to a name that is there twice.
        if piece.data.count(b":") != members_found + sum(map(colons, columns)):
            return None
        return self._batch(range(first, first + len(rows)), lines, columns)

    def _one_by_one(self, piece: Piece, first: int) -> tuple[pyarrow.RecordBatch, int]:
        """Return the records of a piece that can be read, and how many it has; the others become rejects, or the file is refused."""
        numbers, lines, rows = [], [], []
        count = 0
        for number, record in enumerate(piece.records(), first):
            count += 1
            try:
                rows.append(self._by_column(record.text))
            except JsonFault as error:
                self._reject(piece, number, record, error)
            else:
                numbers.append(number)
                lines.append(record.line)
        if isinstance(piece, Lines) and piece.cut_off and self.rejects and self.rejects[-1].record == first + count - 1:
            self.warnings.append(f"{self._file}: its last line has no end and is no whole record: the file may be cut off.")
        columns = [written_texts(joined([row.get(name, _NULL) for row in rows])) if rows else [] for name in self.columns]
        return self._batch(numbers, lines, columns), count

    def _by_column(self, text: bytes) -> dict[str, bytes]:
        row = self._names.members_by_column(text)
        for column, (name, _) in row.items():
            if column not in self._names.columns:
                raise FileRefused(f"{self._file}: the name {name!r} was not there a moment ago: the file changed while it was read.")
        return {column: value for column, (_, value) in row.items()}

    def _reject(self, piece: Piece, number: int, record: Record, error: JsonFault) -> None:
        # An array is one JSON text: what is wrong inside of it is wrong with all of it.
        if not isinstance(piece, Lines) and not isinstance(error, NoObject):
            raise FileRefused(f"{self._file}: the record at line {record.line} {error.reason}.") from error
        where = "" if error.byte is None else f" (byte {error.byte:,} of the line, counted from 0)"
        self.rejects.append(Reject(number, record.line, None, None, f"{error.reason}{where}"))
        self.check_rejects(self._file)

    def _batch(self, numbers: Sequence[int], lines: Sequence[int], columns: Sequence[pyarrow.Array]) -> pyarrow.RecordBatch:
        return pyarrow.RecordBatch.from_arrays(
            [pyarrow.array(numbers, pyarrow.int64()), pyarrow.array(lines, pyarrow.int64()), *columns], schema=self.schema
        )


def _written(values: bytes, levels: int) -> pyarrow.Array | None:
    """Return the column of joined values that are not all text; None where one of them has a fault inside."""
    try:
        check_nesting(deep_values(values, levels), levels - 1)
    except JsonFault:
        return None
    return written_texts(values)
