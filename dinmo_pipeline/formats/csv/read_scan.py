"""Where the fields of CSV text end: a whole block at once, and text that grows block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dinmo_pipeline.formats.csv.read_quotes import NONE, Bytes, Flags, Positions, quoting_by_parity, quoting_by_runs

LF, CR = 10, 13

# No byte of UTF-8: what stands for a delimiter that is not ASCII, at its last byte and at those before.
_LAST_OF_DELIMITER, _PART_OF_DELIMITER = 0xFF, 0xFE


@dataclass(frozen=True)
class Found:
    """Positions in the text, in order. `marks` end fields: delimiters and line breaks, at their last byte.

    `ends` are their first bytes, where the fields' text ends, and `breaks` tells which are line breaks. `faults` are runs of quotes that
    close a value and have text after them; `dropped` are bytes that only say that another one is text; `quoted_breaks` are line breaks
    in values, at their last byte.
    """

    marks: Positions
    ends: Positions
    breaks: Flags
    faults: Positions
    dropped: Positions
    quoted_breaks: Positions

    @staticmethod
    def joined(parts: list[Found]) -> Found:
        """Return what was found in consecutive pieces of a text."""
        if len(parts) == 1:
            return parts[0]
        return Found(*(np.concatenate([getattr(part, name) for part in parts]) for name in Found.__annotations__))


class Scanner:
    """Scans a text that grows, from a record's beginning; `end` is how far it came, `inside` whether that is inside a quoted value."""

    def __init__(self, delimiter: str, quote: str, escape: str | None) -> None:
        self._sequence = delimiter.encode()
        self._delimiter = self._sequence[0] if len(self._sequence) == 1 else _LAST_OF_DELIMITER
        self._substitute = bytes([_PART_OF_DELIMITER] * (len(self._sequence) - 1) + [_LAST_OF_DELIMITER])
        self.quote = ord(quote)
        self._escape = ord(escape) if escape is not None and escape != quote else None
        self._begins_field = np.zeros(256, np.bool_)
        self._begins_field[[self._delimiter, CR, LF]] = True
        self._ends_field = self._begins_field.copy()
        self._ends_field[[self._substitute[0], self.quote]] = True
        self.begin()

    def begin(self) -> None:
        """Begin another text, which begins with a record."""
        self.inside = False
        self.end = 0

    def scan(self, text: bytes, *, final: bool) -> Found:
        """Scan `text` from where the last scan ended; `final` when nothing will come after it."""
        begin, self.end = self.end, len(text) if final else self._safe_end(text)
        if len(self._sequence) > 1:
            text = text.replace(self._sequence, self._substitute)
        data = np.frombuffer(text, np.uint8)
        signs = [self._delimiter, LF, CR, self.quote] if self._escape is None else [self._delimiter, LF, CR, self.quote, self._escape]
        present = [sign for sign in signs if text.find(sign, begin, self.end) >= 0]
        positions = _positions(data[begin : self.end], present, begin)
        codes = data[positions]
        positions = positions.astype(np.int32)
        inside = np.full(len(positions), self.inside)
        faults = dropped = NONE
        if self.quote in present:
            arguments = (data, positions, codes == self.quote, self._begins_field, self._ends_field)
            found = None
            if self._escape not in present:
                found = quoting_by_parity(*arguments, inside=self.inside)
            if found is None:
                found = quoting_by_runs(*arguments, codes == self._escape if self._escape in present else None, inside=self.inside)
            self.inside = found.ends_inside
            inside, faults, dropped = found.inside, found.faults, found.dropped
        delimiters, breaks = codes == self._delimiter, codes == LF
        if CR in present:
            breaks |= codes == CR
            # The CR of CR LF is no line break of its own.
            pairs = np.flatnonzero((codes[:-1] == CR) & (codes[1:] == LF) & (positions[:-1] + 1 == positions[1:]))
            breaks[pairs] = False
        marking = (delimiters | breaks) & ~inside
        marks = ends = positions[marking]
        if CR in present or len(self._sequence) > 1:
            lengths = np.where(delimiters, len(self._sequence), 1)
            if CR in present:
                lengths[pairs + 1] = 2
            ends = marks - lengths[marking] + 1
        quoted = breaks & inside
        return Found(marks, ends, breaks[marking], faults, dropped, positions[quoted] if quoted.any() else NONE)

    def _safe_end(self, text: bytes) -> int:
        """Return where what comes next cannot change what was found: not inside CR LF, nor inside a run of quotes or escapes."""
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


def _positions(piece: Bytes, signs: list[int], begin: int) -> Positions:
    if not signs:
        return NONE
    hits = piece == signs[0]
    for sign in signs[1:]:
        hits |= piece == sign
    positions = np.flatnonzero(hits)
    if begin:
        positions += begin
    return positions


def _start_of_run(text: bytes, byte: int, lowest: int) -> int:
    end = len(text)
    if end > lowest and text[end - 1] == byte:
        return lowest + len(text[lowest:].rstrip(bytes([byte])))
    return end
