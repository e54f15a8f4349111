"""Which records of a CSV file cannot be taken, and why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dinmo_pipeline.formats.csv.read_quotes import Positions
from dinmo_pipeline.formats.csv.read_records import Records
from dinmo_pipeline.formats.reader import SHOWN, FileRefused, Reject


def judge(name: str, records: Records, columns: Sequence[str], fields: int, before: int) -> dict[int, Reject]:
    """Return the rejects among the records, by their index, in order.

    Each record has so many `fields`, of which the last has no name if that is one more than `columns`. `before` records of the file came
    earlier. FileRefused where it cannot be told on which line a record ends.
    """
    bad: dict[int, Reject] = {}

    def reject(record: int, reason: str, field: int | None = None) -> None:
        column = value = None
        if field is not None:
            column = columns[field] if field < len(columns) else None
            value = records.raw_field(record, field)[:SHOWN]
        bad.setdefault(record, Reject(before + record + 1, int(records.lines[record]), column, value, reason))

    for record, field in records.places(records.found.faults):
        _check_line(name, records, record, field)
        reject(record, "text after a closing quote", field)
    if records.unclosed:
        raise _unclosed(name, records)
    for record, field in records.places(records.nuls):
        reject(record, "a NUL byte in the value", field)
    for record in np.flatnonzero(records.counts != fields).tolist():
        count = int(records.counts[record])
        reject(record, f"{count} {'value' if count == 1 else 'values'}, the header has {fields} columns")
    if fields > len(columns):
        for record in _filled_last(records, fields).tolist():
            reject(record, "a value after the last column", fields - 1)
    return dict(sorted(bad.items()))


def check_header(name: str, records: Records) -> None:
    """Raise FileRefused where the first of the records, the header, cannot be read for sure."""
    if records.unclosed and records.size == 1:
        raise _unclosed(name, records)
    end = records.ends[records.fields(0)[-1]]
    if len(records.nuls) and records.nuls[0] < end:
        raise FileRefused(f"{name}: the header has NUL bytes in it. If the file is UTF-16, declare the feed's encoding.")
    if len(records.found.faults) and records.found.faults[0] < end:
        raise FileRefused(f"{name}: the header has text after a closing quote: {records.raw(0)[:SHOWN]}")


def _unclosed(name: str, records: Records) -> FileRefused:
    line = records.line_of_field(records.size - 1, int(records.counts[-1]) - 1)
    return FileRefused(
        f"{name}, line {line}: a quoted value begins here, and its quote is never closed. "
        "The file was cut off, or a quote inside the value is not doubled."
    )


def _check_line(name: str, records: Records, record: int, field: int) -> None:
    value = records.raw_field(record, field)
    if "\n" in value or "\r" in value:
        raise FileRefused(
            f"{name}, line {records.line_of_field(record, field)}: a quoted value begins here, and the quote that closes it, lines later, "
            "has text after it. Either the quote was never closed, or one inside the value is not doubled."
        )


def _filled_last(records: Records, fields: int) -> Positions:
    """Return the records of so many fields that have text in the last one."""
    full = np.flatnonzero(records.counts == fields)
    lasts = records.firsts[full] + fields - 1
    filled = records.starts[lasts] < records.ends[lasts]
    return full[filled]
