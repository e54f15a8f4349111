"""The records of CSV text: where each one's fields are, its number and line, and which of them cannot be taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dinmo_pipeline.formats.csv.read_quotes import NONE, Positions
from dinmo_pipeline.formats.csv.read_scan import Found, Scanner
from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline.intake_limits import IntakeLimits, how_to_raise

_LONGEST_READ = 16 * 1024 * 1024


@dataclass(frozen=True)
class Block:
    """Text that begins at a record and at this physical line; the record after its last one is cut off, unless it is `final`."""

    text: bytes
    found: Found
    line: int
    final: bool
    inside: bool

    @property
    def end(self) -> int:
        """Where the record after the last one begins."""
        return len(self.text) if self.final else int(self.found.marks[self._last_break]) + 1

    @property
    def end_line(self) -> int:
        """The line on which it begins."""
        return self.line + int(self.found.breaks.sum()) + int(np.searchsorted(self.found.quoted_breaks, self.end))

    @property
    def _last_break(self) -> int:
        return len(self.found.breaks) - 1 - int(np.argmax(self.found.breaks[::-1]))

    def records(self, *, blank_lines: bool = False) -> Records:
        """Return the records; blank lines are left out, unless they are records too."""
        found, end = self.found, len(self.text)
        unclosed = self.final and self.inside
        unended = unclosed or (self.final and not self.text.endswith((b"\r", b"\n")))
        if unended:
            marks, ends, breaks = np.append(found.marks, end), np.append(found.ends, end), np.append(found.breaks, True)
        else:
            fields = self._last_break + 1
            marks, ends, breaks = found.marks[:fields], found.ends[:fields], found.breaks[:fields]
        lasts = np.flatnonzero(breaks)
        starts = np.empty_like(marks)
        starts[0] = 0
        np.add(marks[:-1], 1, out=starts[1:])
        firsts = np.concatenate([[0], lasts[:-1] + 1])
        counts = np.diff(lasts, prepend=-1)
        lines = self.line + np.arange(len(lasts))
        if len(found.quoted_breaks):
            lines += np.searchsorted(found.quoted_breaks, starts[firsts])
        full = (counts > 1) | (starts[firsts] < ends[firsts])
        if not blank_lines and not full.all():
            firsts, counts, lines = firsts[full], counts[full], lines[full]
        return Records(self.text, found, starts, ends, firsts, counts, lines, unended, unclosed)


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
            return NONE
        return np.flatnonzero(np.frombuffer(self.text, np.uint8) == 0)

    def after_first(self) -> Records:
        """Return the records but the first one."""
        return replace(self, firsts=self.firsts[1:], counts=self.counts[1:], lines=self.lines[1:])

    def places(self, positions: Positions) -> Iterator[tuple[int, int]]:
        """Yield the record, and the field in it, both from 0, that stands around each position; none for positions in no record."""
        fields = np.searchsorted(self.ends, positions, side="right")
        records = np.searchsorted(self.firsts, fields, side="right") - 1
        for field, record in zip(fields.tolist(), records.tolist(), strict=True):
            if record >= 0 and field < len(self.ends):
                yield record, field - int(self.firsts[record])

    def line_of_field(self, record: int, field: int) -> int:
        """Return the physical line that the field begins on."""
        starts = self.starts[self.firsts[record] + np.array([0, field])]
        return int(self.lines[record] + np.diff(np.searchsorted(self.found.quoted_breaks, starts))[0])

    def fields(self, record: int) -> Positions:
        """Return the indices of the record's fields in `starts` and `ends`."""
        first = int(self.firsts[record])
        return np.arange(first, first + int(self.counts[record]))

    def raw(self, record: int) -> str:
        """Return the record's text without its line break."""
        fields = self.fields(record)
        return self.text[self.starts[fields[0]] : self.ends[fields[-1]]].decode()

    def raw_field(self, record: int, field: int) -> str:
        """Return one field's text, quotes included."""
        index = self.fields(record)[field]
        return self.text[self.starts[index] : self.ends[index]].decode()


def read_blocks(name: str, texts: Iterator[bytes], scanner: Scanner, line: int, limits: IntakeLimits) -> Iterator[Block]:
    """Yield the text, which begins at a record and at this line, in blocks that end with a record.

    `name` is the file's, for errors. FileRefused where a record is longer, or has more fields, than `limits` allow.
    """
    text = b""
    final = False
    while not final:
        scanner.begin()
        found: list[Found] = []
        ended = False
        while not ended and not final:
            more = _read(texts, len(text))
            final = not more
            text += more
            found.append(scanner.scan(text, final=final))
            ended = bool(found[-1].breaks.any())
            if not ended:
                _check_limits(limits, name, line, text, sum(len(part.marks) for part in found))
        block = Block(text, Found.joined(found), line, final, scanner.inside)
        if text:
            yield block
        text, line = text[block.end :], block.end_line


def _read(texts: Iterator[bytes], at_least: int) -> bytes:
    """Read so many bytes more that a long record is not copied as often as it has blocks."""
    pieces = []
    size = 0
    for text in texts:
        pieces.append(text)
        size += len(text)
        if size >= min(at_least, _LONGEST_READ):
            break
    return b"".join(pieces)


def _check_limits(limits: IntakeLimits, name: str, line: int, text: bytes, fields: int) -> None:
    where = f"{name}, line {line}: the record that begins here"
    if fields > limits.record_fields:
        raise FileRefused(
            f"{where} has more than {limits.record_fields:,} fields. Ask for the file again, or {how_to_raise('record_fields')}."
        )
    if len(text) > limits.record_bytes:
        truncated = text.endswith(b"\0")
        why = "It goes on in NUL bytes: the file looks truncated." if truncated else "Perhaps a quote in it is not closed."
        raise FileRefused(f"{where} is longer than {limits.record_bytes:,} bytes. {why} If not, {how_to_raise('record_bytes')}.")
