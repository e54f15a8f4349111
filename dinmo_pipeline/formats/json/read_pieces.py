"""What a JSON file is cut into: pieces of whole records, lines or elements, each with the line where it begins."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, NamedTuple

import msgspec

from dinmo_pipeline.formats.json.read_values import elements

SPACE = b" \t\r\n"
_NOT_BETWEEN = re.compile(rb"[^ \t\r\n,]")
_NEXT = re.compile(rb"[ \t\r\n]*")


class Record(NamedTuple):
    """One record's text, the physical line, from 1, where it starts."""

    line: int
    text: bytes


@dataclass(frozen=True)
class Piece(ABC):
    """Whole records and what stands between them; `line` is that of its first byte, from 1."""

    data: bytes
    line: int

    def decode(self, row: type[Any]) -> list[Any] | None:
        """Return all records as objects of this msgspec type; None where one of them is none."""
        try:
            return self._decoded(row)
        except (msgspec.DecodeError, RecursionError):
            return None

    @abstractmethod
    def _decoded(self, row: type[Any]) -> list[Any]: ...

    @abstractmethod
    def lines(self, count: int) -> Sequence[int] | None:
        """Return the lines of its `count` records, where it can be told that no newline stands inside of one; else None."""

    @abstractmethod
    def records(self) -> Iterator[Record]:
        """Yield its records, whatever their text is."""


class Lines(Piece):
    r"""One record a line. Line endings are all `\n` here; blank lines are no records."""

    def _decoded(self, row: type[Any]) -> list[Any]:
        return msgspec.json.Decoder(row).decode_lines(self.data)

    def lines(self, count: int) -> Sequence[int] | None:
        # In valid JSON a } is followed by a { between two records alone.
        newlines = self.data.count(b"\n")
        every_line_is_a_record = newlines == count == self.data.count(b"}\n{") + 1
        return range(self.line, self.line + count) if every_line_is_a_record else None

    def records(self) -> Iterator[Record]:
        for line, text in enumerate(self.data.split(b"\n"), self.line):
            if text.strip(SPACE):
                yield Record(line, text)

    @property
    def cut_off(self) -> bool:
        """Whether the last line has no end, as is so only at the end of the file."""
        return not self.data.endswith(b"\n")


class Elements(Piece):
    """Elements of an array with commas between them; valid JSON."""

    def _decoded(self, row: type[Any]) -> list[Any]:
        rows: list[Any] = msgspec.json.decode(b"[" + self.data + b"]", type=GenericAlias(list, row))
        return rows

    def lines(self, count: int) -> Sequence[int] | None:
        if b"\n" not in self.data and b"\r" not in self.data:
            return [self.line] * count
        start = after_space(self.data, 0)
        inner = self.data[start:].rstrip(SPACE)
        if b"\r" in self.data or not inner.count(b"},\n{") + 1 == inner.count(b"\n") + 1 == count:
            return None
        first = self.line + self.data.count(b"\n", 0, start)
        return range(first, first + count)

    def records(self) -> Iterator[Record]:
        line, end = self.line, 0
        for element in elements(b"[" + self.data + b"]"):
            found = _NOT_BETWEEN.search(self.data, end)
            start = end if found is None else found.start()
            line += newlines(self.data, end, start)
            text = bytes(element)
            yield Record(line, text)
            line += newlines(text, 0, len(text))
            end = start + len(text)


Pieces = Callable[[], Iterator[Piece]]


class Beginning:
    """The first pieces, of at least `size` bytes if there are so many, each time it is called; `whole` says then whether they are all."""

    def __init__(self, pieces: Pieces, size: int) -> None:
        self.whole = True
        self._pieces = pieces
        self._size = size

    def __call__(self) -> Iterator[Piece]:
        left = self._size
        for piece in self._pieces():
            self.whole = left > 0
            if not self.whole:
                return
            yield piece
            left -= len(piece.data)


def newlines(text: bytes, start: int, end: int) -> int:
    r"""Count the line endings between two places: `\n`, `\r` and `\r\n`."""
    returns = text.count(b"\r", start, end)
    return text.count(b"\n", start, end) + (returns - text.count(b"\r\n", start, end) if returns else 0)


def after_space(text: bytes, at: int) -> int:
    """Return the place, from `at` on, of the next byte that is no white space."""
    found = _NEXT.match(text, at)
    return at if found is None else found.end()
