"""Reading JSON: every record's members as text, exactly as they are written.

A piece whose records all have all the names is decoded as a whole. Whatever is unusual about it, it is read record by record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter
from pathlib import Path

import pyarrow

from dinmo_pipeline.inbound.json_columns import colons, deep_values, joined, written_texts
from dinmo_pipeline.inbound.json_names import Names
from dinmo_pipeline.inbound.json_pieces import Lines, Piece, Pieces, Record, pieces_of
from dinmo_pipeline.inbound.json_values import LEVELS, JsonFault, Members, NoObject, check_nesting, members
from dinmo_pipeline.inbound.reading import FileRefused, Reading, Reject

_BATCH_BYTES = 16 * 1024 * 1024
_NULL = b"null"
# How a colon can be escaped.
_ESCAPED_COLON = b"\\u003"


def open_json(path: Path, *, key: Collection[str] = ()) -> Reading:
    """An array of objects, one object, or one object a line, by its content; read once here for its names.

    FileRefused where it is none of them, where it holds names that no column can have, and where it has records and lacks a column of
    `key`.
    """
    names = Names(path.name)
    pieces = pieces_of(path)
    names.learn(pieces)
    missing = [name for name in key if name not in names.columns]
    if missing and any(True for piece in pieces() for _ in piece.records()):
        found = ", ".join(names.columns) or "none"
        raise FileRefused(f"{path.name}: lacks the key column {', '.join(missing)}. Its columns are: {found}.")
    return _JsonReading(path.name, pieces, names)


class _JsonReading(Reading):
    def __init__(self, file_name: str, pieces: Pieces, names: Names) -> None:
        self.columns = tuple(names.columns)
        self.rejects: list[Reject] = []
        self.warnings: list[str] = []
        self._file = file_name
        self._pieces = pieces
        self._names = names
        self._fields = names.fields
        self._row = names.row_type(complete=True)
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

    def _whole(self, piece: Piece, first: int) -> pyarrow.RecordBatch | None:
        """All records of a piece, if they have the same names and nothing is wrong with them; else None."""
        if self._row is None or len(self._fields) != len(self.columns) or _ESCAPED_COLON in piece.data:
            return None
        rows = piece.decode(self._row)
        lines = piece.lines(len(rows)) if rows else None
        if not rows or lines is None:
            return None
        # Each member has one colon, the others stand in its value: what is left belongs to a name that is there twice.
        left = piece.data.count(b":") - len(rows) * len(self._fields)
        columns = []
        for number, (_, is_text) in enumerate(self._fields):
            values = list(map(attrgetter(f"f{number}"), rows))
            if is_text:
                column = pyarrow.array(values, pyarrow.large_string())
            else:
                text = joined(values)
                try:
                    for value in deep_values(text):
                        check_nesting(value, LEVELS - 1)
                except JsonFault:
                    return None
                column = written_texts(text)
            left -= colons(column)
            columns.append(column)
        return self._batch(range(first, first + len(rows)), lines, columns) if left == 0 else None

    def _one_by_one(self, piece: Piece, first: int) -> tuple[pyarrow.RecordBatch, int]:
        """The records of a piece that can be read, and how many it has; the others become rejects, or the file is refused."""
        numbers, lines, rows = [], [], []
        count = 0
        for number, record in enumerate(piece.records(), first):
            count += 1
            try:
                rows.append(self._by_column(members(record.text)))
            except JsonFault as error:
                self._reject(piece, number, record, error)
            else:
                numbers.append(number)
                lines.append(record.line)
        if isinstance(piece, Lines) and piece.cut_off and self.rejects and self.rejects[-1].record == first + count - 1:
            self.warnings.append(f"{self._file}: its last line has no end and is no whole record: the file may be cut off.")
        columns = [written_texts(joined([row.get(name, _NULL) for row in rows])) if rows else [] for name in self.columns]
        return self._batch(numbers, lines, columns), count

    def _by_column(self, found: Members) -> dict[str, bytes]:
        row: dict[str, bytes] = {}
        for name, value in found.items():
            column = self._names.column_of(name)
            if column in row:
                raise JsonFault(f"has two names for the column {column}, one of them {name!r}")
            row[column] = bytes(value)
        return row

    def _reject(self, piece: Piece, number: int, record: Record, error: JsonFault) -> None:
        # An array is one JSON text: what is wrong inside of it is wrong with all of it.
        if not isinstance(piece, Lines) and not isinstance(error, NoObject):
            raise FileRefused(f"{self._file}: the record at line {record.line} {error.reason}.") from error
        where = "" if error.byte is None else f" (byte {error.byte:,} of the line, counted from 0)"
        self.rejects.append(Reject(number, record.line, None, None, f"{error.reason}{where}"))

    def _batch(self, numbers: Sequence[int], lines: Sequence[int], columns: Sequence[pyarrow.Array]) -> pyarrow.RecordBatch:
        return pyarrow.RecordBatch.from_arrays(
            [pyarrow.array(numbers, pyarrow.int64()), pyarrow.array(lines, pyarrow.int64()), *columns], schema=self.schema
        )
