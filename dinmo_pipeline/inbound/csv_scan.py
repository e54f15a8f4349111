"""Where the fields of CSV text end: the quoting of a whole block at once, exact for every sequence of quotes.

A run of quotes is all that can change whether text is quoted. With what stands before it (a field's beginning or not), how many
quotes it has and what stands after it, each run leaves the state as it is, turns it over, or sets it to unquoted, whatever it was;
so the state after each run follows from two cumulative passes and no loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

LF, CR = 10, 13

Positions: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

_NONE: Positions = np.zeros(0, np.int64)
# No byte of UTF-8: what stands for a delimiter that is not ASCII, at its last byte and at those before.
_LAST_OF_DELIMITER, _PART_OF_DELIMITER = 0xFF, 0xFE


@dataclass(frozen=True)
class Found:
    """Positions in the text, in order. `marks` end fields: delimiters, at their last byte, and line breaks, at their first.

    `faults` are runs of quotes that close a value and have text after them; `dropped` are bytes that only say that the next one
    is no quote; `quoted_breaks` are line breaks inside values.
    """

    marks: Positions
    faults: Positions
    dropped: Positions
    quoted_breaks: Positions

    @staticmethod
    def joined(parts: list[Found]) -> Found:
        """What was found in consecutive pieces of a text."""
        if len(parts) == 1:
            return parts[0]
        return Found(*(np.concatenate([getattr(part, name) for part in parts]) for name in Found.__annotations__))


class Scanner:
    """Scans a text that grows, from a record's beginning; `end` is how far it came, `inside` whether that is inside a quoted value."""

    def __init__(self, delimiter: str, quote: str, escape: str | None) -> None:
        self._sequence = delimiter.encode()
        self.delimiter_bytes = len(self._sequence)
        self.delimiter = self._sequence[0] if self.delimiter_bytes == 1 else _LAST_OF_DELIMITER
        self._substitute = bytes([_PART_OF_DELIMITER] * (self.delimiter_bytes - 1) + [_LAST_OF_DELIMITER])
        self.quote = ord(quote)
        self._escape = ord(escape) if escape is not None and escape != quote else None
        self._begins_field = np.zeros(256, np.bool_)
        self._begins_field[[self.delimiter, CR, LF]] = True
        self._ends_field = self._begins_field.copy()
        self._ends_field[[_PART_OF_DELIMITER, self.quote]] = True
        self.begin()

    def begin(self) -> None:
        """The next text is another one, and begins with a record."""
        self.inside = False
        self.end = 0

    def scan(self, text: bytes, *, final: bool) -> Found:
        """Scan `text` from where the last scan ended; `final` when nothing will come after it."""
        begin, end = self.end, len(text) if final else self._safe_end(text)
        if self.delimiter_bytes > 1:
            text = text.replace(self._sequence, self._substitute)
        self.end = end
        data = np.frombuffer(text, np.uint8)
        piece = data[begin:end]
        present = [byte for byte in (self.delimiter, LF, CR, self.quote) if text.find(byte, begin, end) >= 0]
        if self._escape is not None and self.quote in present and text.find(self._escape, begin, end) >= 0:
            present.append(self._escape)
        if not present:
            return Found(_NONE, _NONE, _NONE, _NONE)
        hits = piece == present[0]
        for byte in present[1:]:
            hits |= piece == byte
        positions = np.flatnonzero(hits)
        if begin:
            positions += begin
        codes = data[positions]
        if CR in present:
            # The line break of CR LF is its CR.
            second = codes == LF
            second[second] = data[positions[second] - 1] == CR
            second &= positions > 0
            positions, codes = positions[~second], codes[~second]
        if self.quote not in present:
            if not self.inside:
                return Found(positions, _NONE, _NONE, _NONE)
            return Found(_NONE, _NONE, _NONE, positions[(codes == LF) | (codes == CR)])
        return self._quoted(data, positions, codes)

    def _safe_end(self, text: bytes) -> int:
        """Where what comes next cannot change what was found: not inside CR LF, nor inside a run of quotes or escapes."""
        end = len(text)
        if text.endswith(b"\r"):
            return end - 1
        end = _start_of_run(text, self.quote, self.end)
        if self._escape is not None:
            end = _start_of_run(text[:end], self._escape, self.end)
        elif end == self.end < len(text):
            # Quotes and nothing else: so many of them that the next one, if there is one, begins a pair.
            end = len(text) - (len(text) - end + (not self.inside)) % 2
        return end

    def _quoted(self, data: npt.NDArray[np.uint8], positions: Positions, codes: npt.NDArray[np.uint8]) -> Found:
        is_quote = codes == self.quote
        quotes = positions[is_quote]
        first = np.empty(len(quotes), np.bool_)
        first[0] = True
        np.not_equal(quotes[1:], quotes[:-1] + 1, out=first[1:])
        begins = np.flatnonzero(first)
        runs = quotes[begins]
        lengths = np.diff(begins, append=len(quotes))
        before = self._begins_field[data[runs - 1]] | (runs == 0)
        after_run = runs + lengths
        after = self._ends_field[data[np.minimum(after_run, len(data) - 1)]] | (after_run == len(data))
        escapes = _Runs.of(positions[codes == self._escape]) if self._escape is not None else None
        free = lengths
        if escapes is not None:
            # An escaped quote is text, as if it were not in the run.
            escaped = escapes.ending_at(runs) % 2 == 1
            free = lengths - escaped

        odd = free % 2 == 1
        turns = np.cumsum(odd & before)
        since = np.maximum.accumulate(np.where(odd & ~before, turns, -1 if self.inside else 0))
        inside_after = (turns - since) % 2 == 1
        inside_before = np.concatenate([[self.inside], inside_after[:-1]])
        # A run that stands at a field's beginning opens it with its first quote, and may close it with its last.
        opens = ~inside_before & before
        faults = runs[~after & np.where(inside_before, odd, opens & ~odd)]

        of_run = np.cumsum(_starts_of_runs(is_quote, begins))
        inside = np.concatenate([[self.inside], inside_after])[of_run]
        marks = ~is_quote & ~inside
        breaks = inside & ~is_quote & ((codes == LF) | (codes == CR))
        if escapes is not None:
            marks &= codes != self._escape
        dropped = _seconds_of_pairs(quotes, begins, lengths, inside_before | opens, opens if escapes is None else opens | escaped)
        if escapes is not None:
            dropped = np.sort(np.concatenate([dropped, escapes.dropped(inside[codes == self._escape], runs)]))
        self.inside = bool(inside_after[-1])
        return Found(positions[marks], faults, dropped, positions[breaks])


def _starts_of_runs(is_quote: Flags, begins: Positions) -> Flags:
    starts = np.zeros(len(is_quote), np.bool_)
    starts[np.flatnonzero(is_quote)[begins]] = True
    return starts


def _start_of_run(text: bytes, byte: int, lowest: int) -> int:
    end = len(text)
    if end > lowest and text[end - 1] == byte:
        return lowest + len(text[lowest:].rstrip(bytes([byte])))
    return end


def _seconds_of_pairs(quotes: Positions, begins: Positions, lengths: Positions, paired: Flags, skips_one: Flags) -> Positions:
    """The second quote of each pair in the runs that are `paired`, whose first quote is none of a pair where `skips_one`."""
    long = paired & (lengths > 1)
    if not long.any():
        return _NONE
    lengths = lengths[long]
    number = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    in_pair = number - np.repeat(skips_one[long], lengths)
    seconds: Positions = quotes[np.repeat(begins[long], lengths) + number][(in_pair > 0) & (in_pair % 2 == 1)]
    return seconds


@dataclass(frozen=True)
class _Runs:
    """Runs of one byte: where each begins, and its length."""

    begins: Positions
    lengths: Positions

    @classmethod
    def of(cls, positions: Positions) -> _Runs:
        first = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
        return cls(positions[first], np.diff(first, append=len(positions)))

    def ending_at(self, ends: Positions) -> Positions:
        """How long the run is that ends right before each of `ends`; 0 where none does."""
        if not len(self.begins):
            return np.zeros(len(ends), np.int64)
        nearest = np.maximum(np.searchsorted(self.begins, ends) - 1, 0)
        return np.where(self.begins[nearest] + self.lengths[nearest] == ends, self.lengths[nearest], 0)

    def dropped(self, inside: Flags, quotes: Positions) -> Positions:
        """The escapes that escape another one or a quote, of those `inside` a quoted value; `quotes` are where runs of quotes begin."""
        total = int(self.lengths.sum())
        number = np.arange(total) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        lengths = np.repeat(self.lengths, self.lengths)
        before_quote = np.repeat(np.isin(self.begins + self.lengths, quotes), self.lengths)
        drop = inside & (number % 2 == 0) & ((number + 1 < lengths) | before_quote)
        dropped: Positions = (np.repeat(self.begins, self.lengths) + number)[drop]
        return dropped
