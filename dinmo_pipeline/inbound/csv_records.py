"""The records of CSV text: where each one's fields are, its number and line, and which of them cannot be taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dinmo_pipeline.inbound.csv_scan import CR, LF, Flags, Found, Positions, Scanner
from dinmo_pipeline.inbound.reading import FileRefused

RECORD_LIMIT = 256 * 1024 * 1024
FIELDS_LIMIT = 1_000_000
_LONGEST_READ = 16 * 1024 * 1024


@dataclass(frozen=True)
class Records:
    """The records that end in one block of text, blank lines left out.

    `starts` and `ends` are the fields' positions in `text`, quotes included; `firsts` and `counts` the first field and the number of
    fields of each record, `lines` their physical lines. `unended` says that the last one has no line break: the file ends there; `unclosed`
    that it ends inside a quoted value.
    """

    text: bytes
    found: Found
    starts: Positions
    ends: Positions
    firsts: Positions
    counts: Positions
    lines: Positions
    unended: bool
    unclosed: bool

    @property
    def size(self) -> int:
        """How many records there are."""
        return len(self.firsts)

    @cached_property
    def nuls(self) -> Positions:
        """Where a NUL byte stands."""
        if self.text.find(b"\0") < 0:
            return np.zeros(0, np.int64)
        return np.flatnonzero(np.frombuffer(self.text, np.uint8) == 0)

    def after_first(self) -> Records:
        """The records but the first one."""
        return replace(self, firsts=self.firsts[1:], counts=self.counts[1:], lines=self.lines[1:])

    def places(self, positions: Positions) -> Iterator[tuple[int, int]]:
        """The record, and the field in it, both from 0, that stands around each position; none for positions in no record."""
        fields = np.searchsorted(self.ends, positions, side="right")
        records = np.searchsorted(self.firsts, fields, side="right") - 1
        for field, record in zip(fields.tolist(), records.tolist(), strict=True):
            if record >= 0 and field < len(self.ends):
                yield record, field - int(self.firsts[record])

    def line_of_field(self, record: int, field: int) -> int:
        """The physical line that the field begins on."""
        starts = self.starts[self.firsts[record] + np.array([0, field])]
        return int(self.lines[record] + np.diff(np.searchsorted(self.found.quoted_breaks, starts))[0])

    def fields(self, record: int) -> Positions:
        """The indices of the record's fields in `starts` and `ends`."""
        first = int(self.firsts[record])
        return np.arange(first, first + int(self.counts[record]))

    def raw(self, record: int) -> str:
        """The record's text without its line break."""
        fields = self.fields(record)
        return self.text[self.starts[fields[0]] : self.ends[fields[-1]]].decode()

    def raw_field(self, record: int, field: int) -> str:
        """One field's text, quotes included."""
        index = self.fields(record)[field]
        return self.text[self.starts[index] : self.ends[index]].decode()


def read_records(name: str, blocks: Iterator[bytes], scanner: Scanner, line: int) -> Iterator[Records]:
    """The records of all blocks of text, which begin at a record and at this physical line; never empty.

    `name` is the file's, for errors. FileRefused where a record is longer than RECORD_LIMIT or has more fields than FIELDS_LIMIT.
    """
    text = b""
    final = False
    while not final:
        scanner.begin()
        found: list[Found] = []
        last = None
        while last is None and not final:
            more = _read(blocks, len(text))
            final = not more
            text += more
            found.append(scanner.scan(text, final=final))
            last = _last_break(text, found[-1].marks)
            if last is None:
                _check_limits(name, line, text, sum(len(part.marks) for part in found))
        if not text:
            return
        records, end, line = _records(text, Found.joined(found), line, scanner, final=final)
        if records.size:
            yield records
        text = text[end:]


def _read(blocks: Iterator[bytes], at_least: int) -> bytes:
    """So many bytes more that a long record is not copied as often as it has blocks."""
    pieces = []
    size = 0
    for block in blocks:
        pieces.append(block)
        size += len(block)
        if size >= min(at_least, _LONGEST_READ):
            break
    return b"".join(pieces)


def _is_break(text: bytes, marks: Positions) -> Flags:
    codes = np.frombuffer(text, np.uint8)[marks]
    breaks: Flags = (codes == LF) | (codes == CR)
    return breaks


def _last_break(text: bytes, marks: Positions) -> int | None:
    """The position of the last line break among the marks."""
    breaks = marks[_is_break(text, marks)]
    return int(breaks[-1]) if len(breaks) else None


def _after(text: bytes, marks: Positions) -> Positions:
    """Where the text goes on after each mark."""
    after = marks + 1
    if text.find(b"\r") >= 0:
        data = np.frombuffer(text, np.uint8)
        after += (data[marks] == CR) & (data[np.minimum(after, len(text) - 1)] == LF)
    return after


def _records(text: bytes, found: Found, line: int, scanner: Scanner, *, final: bool) -> tuple[Records, int, int]:
    """The records that end in `text`, where the next one begins, and its line."""
    marks, breaks, after = found.marks, _is_break(text, found.marks), _after(text, found.marks)
    unclosed = final and scanner.inside
    unended = unclosed or (final and not text.endswith((b"\r", b"\n")))
    if unended:
        marks, breaks, after = np.append(marks, len(text)), np.append(breaks, True), np.append(after, len(text))
    lasts = np.flatnonzero(breaks)
    fields = lasts[-1] + 1
    marks, breaks, after = marks[:fields], breaks[:fields], after[:fields]
    starts = np.concatenate([[0], after[:-1]])
    ends = marks if scanner.delimiter_bytes == 1 else marks - np.where(breaks, 0, scanner.delimiter_bytes - 1)
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    counts = np.diff(lasts, prepend=-1)
    lines = line + np.arange(len(lasts)) + np.searchsorted(found.quoted_breaks, starts[firsts])
    end = int(after[-1])
    following = line + len(lasts) + int(np.searchsorted(found.quoted_breaks, end))
    full = (counts > 1) | (starts[firsts] < ends[firsts])
    if not full.all():
        firsts, counts, lines = firsts[full], counts[full], lines[full]
    return Records(text, found, starts, ends, firsts, counts, lines, unended, unclosed), end, following


def _check_limits(name: str, line: int, text: bytes, fields: int) -> None:
    where = f"{name}, line {line}: the record that begins here"
    if fields > FIELDS_LIMIT:
        raise FileRefused(f"{where} has more fields than FIELDS_LIMIT, {FIELDS_LIMIT:,}.")
    if len(text) > RECORD_LIMIT:
        truncated = text.endswith(b"\0")
        why = "It goes on in NUL bytes: the file looks truncated." if truncated else "Perhaps a quote in it is not closed."
        raise FileRefused(f"{where} is longer than RECORD_LIMIT, {RECORD_LIMIT:,} bytes. {why}")
