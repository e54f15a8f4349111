"""A JSON file in pieces of whole records, in bounded memory: one object a line, or the elements of one array, or one object.

Which of them a file is, its content tells, never its name.
"""

from __future__ import annotations

import codecs
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import GenericAlias
from typing import Any, NamedTuple

import msgspec

from dinmo_pipeline.formats.decode import text_blocks
from dinmo_pipeline.formats.decompress import open_plain
from dinmo_pipeline.formats.json.read_values import TOO_EARLY, JsonFault, elements, plain_members
from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, how_to_raise

# What the caches of a processor hold: larger ones take twice as long.
_PIECE = 512 * 1024
_NO_OTHER_ENCODING = "JSON is UTF-8: ask for the file in UTF-8."

_SPACE = b" \t\r\n"
_NOT_BETWEEN = re.compile(rb"[^ \t\r\n,]")
_NEXT = re.compile(rb"[ \t\r\n]*")
_BOUNDARY = re.compile(rb'\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*"(?:[^"\\]|\\.)*"')
# Finds where a value ends and nothing else: what it holds is read strictly, by another.
_SCANNER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)


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
            if text.strip(_SPACE):
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
        start = _after_space(self.data, 0)
        inner = self.data[start:].rstrip(_SPACE)
        if b"\r" in self.data or not inner.count(b"},\n{") + 1 == inner.count(b"\n") + 1 == count:
            return None
        first = self.line + self.data.count(b"\n", 0, start)
        return range(first, first + count)

    def records(self) -> Iterator[Record]:
        line, end = self.line, 0
        for element in elements(b"[" + self.data + b"]"):
            found = _NOT_BETWEEN.search(self.data, end)
            start = end if found is None else found.start()
            line += _newlines(self.data, end, start)
            text = bytes(element)
            yield Record(line, text)
            line += _newlines(text, 0, len(text))
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


def pieces_of(path: Path, limits: IntakeLimits = DEFAULT_LIMITS) -> Pieces:
    """Return what gives the file's pieces from its start each time it is called. FileRefused, also while reading, where it is no JSON."""
    first = next((byte for block in _blocks(path, limits) for byte in block.lstrip(_SPACE)[:1]), None)
    if first is None:
        raise FileRefused(f"{path.name}: empty file. There is nothing to read in it; ask for it again if it should hold records.")
    if first == ord("["):
        return lambda: _Array(path, limits).pieces()
    if _is_lines(path, limits):
        return lambda: _line_pieces(path, limits)
    whole = _one_object(path, limits)
    return lambda: iter([whole])


def _blocks(path: Path, limits: IntakeLimits) -> Iterator[bytes]:
    with open_plain(path, limits) as file:
        yield from text_blocks(file, path.name, "utf-8", _PIECE, _NO_OTHER_ENCODING, limits)


def _start(path: Path) -> int:
    """Return the byte where the text starts: after a byte order mark."""
    with open_plain(path) as file:
        return 3 if file.read(3) == codecs.BOM_UTF8 else 0


def _newlines(text: bytes, start: int, end: int) -> int:
    returns = text.count(b"\r", start, end)
    return text.count(b"\n", start, end) + (returns - text.count(b"\r\n", start, end) if returns else 0)


def _line_pieces(path: Path, limits: IntakeLimits) -> Iterator[Lines]:
    held: list[bytes] = []
    line = 1
    for block in chain(_blocks(path, limits), [b""]):
        # A return at the end of a block may be half of a line ending.
        end = max(block.rfind(b"\n"), block.rfind(b"\r", 0, -1)) + 1
        held.append(block[:end] if end else block)
        if sum(map(len, held)) > limits.record_bytes:
            raise _too_long(path, line, limits)
        if end or not block:
            data = b"".join(held)
            if b"\r" in data:
                data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if data:
                yield Lines(data, line)
            line += data.count(b"\n")
            held = [block[end:]]


def _is_lines(path: Path, limits: IntakeLimits) -> bool:
    """Return whether the first or the second line that is not blank is an object."""
    records = chain.from_iterable(piece.records() for piece in _line_pieces(path, limits))
    for record in islice(records, 2):
        with suppress(JsonFault):
            plain_members(record.text)
            return True
    return False


def _one_object(path: Path, limits: IntakeLimits) -> Piece:
    held: list[bytes] = []
    for block in _blocks(path, limits):
        held.append(block)
        if sum(map(len, held)) > limits.record_bytes:
            raise FileRefused(
                f"{path.name}: neither an array nor one object a line, and too long for one object: more than "
                f"{limits.record_bytes:,} bytes. Ask for one object a line, or {how_to_raise('record_bytes')}."
            )
    text = b"".join(held)
    try:
        plain_members(text)
    except JsonFault as error:
        raise FileRefused(
            f"{path.name}: neither an array of objects, one object nor one object a line: "
            f"taken as a whole it {_placed(error, text, 1, _start(path))}."
        ) from error
    return Elements(text, 1)


def _placed(error: JsonFault, text: bytes, line: int, offset: int) -> str:
    """Return the fault with line and byte, where `text` begins at these."""
    if error.byte is None:
        return error.reason
    return f"{error.reason} (line {line + _newlines(text, 0, error.byte)}, byte {offset + error.byte:,} counted from 0)"


def _too_long(path: Path, line: int, limits: IntakeLimits) -> FileRefused:
    return FileRefused(
        f"{path.name}: the record at line {line} is longer than {limits.record_bytes:,} bytes. "
        f"Split it, take what is so large out of it, or {how_to_raise('record_bytes')}."
    )


class _Array:
    """An array that is cut between elements while it is read."""

    def __init__(self, path: Path, limits: IntakeLimits) -> None:
        self._path = path
        self._limits = limits
        self._blocks = _blocks(path, limits)
        self._text = b""
        self._offset = _start(path)
        self._line = 1
        self._boundary: bytes | None = None

    def pieces(self) -> Iterator[Elements]:
        self._grow()
        while not self._text.lstrip(_SPACE):
            self._drop(len(self._text))
            self._grow()
        self._drop(self._text.index(b"[") + 1)
        if not self._is_empty():
            closed = False
            while not closed:
                end, following, closed = self._guessed() or self._scanned()
                yield self._piece(end)
                self._drop(following)
                if not closed:
                    self._grow()
        self._end()

    def _grow(self) -> bool:
        """Read as much again as there is, so that an element of any length is looked at few times; False at the end."""
        more: list[bytes] = []
        while sum(map(len, more)) < max(_PIECE, len(self._text)) and (block := next(self._blocks, b"")):
            more.append(block)
        self._text = b"".join([self._text, *more])
        return bool(more)

    def _drop(self, end: int) -> None:
        self._line += _newlines(self._text, 0, end)
        self._offset += end
        self._text = self._text[end:]

    def _is_empty(self) -> bool:
        while not (start := self._text.lstrip(_SPACE)) and self._grow():
            pass
        if start[:1] != b"]":
            return False
        self._drop(self._text.index(b"]") + 1)
        return True

    def _guessed(self) -> tuple[int, int, bool] | None:
        """Return the end of the last element that begins as others did, if that is the end of an element."""
        at = -1 if self._boundary is None else self._text.rfind(self._boundary)
        if at < 0:
            return None
        with suppress(JsonFault):
            elements(b"[" + self._text[: at + 1] + b"]")
            return at + 1, self._text.index(b",", at) + 1, False
        return None

    def _scanned(self) -> tuple[int, int, bool]:
        """Return the end of the last whole element, where what follows it begins, and whether that is after the array's end."""
        while True:
            # One byte is one character: only what is ASCII tells where a value ends.
            found = self._scan(self._text.decode("latin-1"))
            if found is not None:
                return found
            self._check_beginning()
            if len(self._text) > self._limits.record_bytes:
                raise _too_long(self._path, self._line, self._limits)
            if not self._grow():
                raise self._refused(self._fault(self._text))

    def _scan(self, text: str) -> tuple[int, int, bool] | None:
        found = None
        at = _after_space(self._text, 0)
        while at < len(text):
            try:
                _, end = _SCANNER.raw_decode(text, at)
            except (json.JSONDecodeError, RecursionError):
                break
            following = _after_space(self._text, end)
            if self._text[following : following + 1] == b"]":
                return end, following + 1, True
            if self._text[following : following + 1] != b",":
                break
            found = end, following + 1, False
            boundary = _BOUNDARY.match(self._text, end - 1)
            self._boundary = self._boundary if boundary is None else boundary[0]
            at = _after_space(self._text, following + 1)
        return found

    def _check_beginning(self) -> None:
        """Refuse the first element where more text would not make it whole."""
        error = self._fault(self._text)
        # What stands at the very end may only be cut.
        if error.reason != TOO_EARLY if error.byte is None else error.byte < len(self._text) - 16:
            raise self._refused(error)

    def _fault(self, text: bytes) -> JsonFault:
        try:
            elements(b"[" + text)
        except JsonFault as error:
            return JsonFault(error.reason, None if error.byte is None else error.byte - 1)
        return JsonFault("is no JSON: a comma stands before the array's end", _after_space(text, 0))

    def _piece(self, end: int) -> Elements:
        piece = Elements(self._text[:end], self._line)
        try:
            elements(b"[" + piece.data + b"]")
        except JsonFault as error:
            raise self._refused(JsonFault(error.reason, None if error.byte is None else error.byte - 1)) from error
        return piece

    def _refused(self, error: JsonFault) -> FileRefused:
        where = "" if error.byte is not None else f" (in the element at line {self._line})"
        return FileRefused(f"{self._path.name}: the array {_placed(error, self._text, self._line, self._offset)}{where}.")

    def _end(self) -> None:
        while not self._text.strip(_SPACE):
            self._drop(len(self._text))
            if not self._grow():
                return
        raise self._refused(JsonFault("is followed by more", _after_space(self._text, 0)))


def _after_space(text: bytes, at: int) -> int:
    found = _NEXT.match(text, at)
    return at if found is None else found.end()
