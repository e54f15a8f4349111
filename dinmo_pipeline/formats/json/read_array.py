"""An array of JSON in pieces: it is cut between elements while it is read, in bounded memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dinmo_pipeline.formats.json import read_blocks
from dinmo_pipeline.formats.json.read_blocks import blocks, placed, text_start, too_long
from dinmo_pipeline.formats.json.read_pieces import SPACE, Elements, after_space, newlines
from dinmo_pipeline.formats.json.read_values import TOO_EARLY, JsonFault, elements
from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline.intake_limits import IntakeLimits

_BOUNDARY = re.compile(rb'\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*"(?:[^"\\]|\\.)*"')
# Finds where a value ends and nothing else: what it holds is read strictly, by another.
_SCANNER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)


class ArrayPieces:
    """An array that is cut between elements while it is read."""

    def __init__(self, path: Path, limits: IntakeLimits) -> None:
        self._path = path
        self._limits = limits
        self._blocks = blocks(path, limits)
        self._text = b""
        self._offset = text_start(path)
        self._line = 1
        self._boundary: bytes | None = None

    def pieces(self) -> Iterator[Elements]:
        """Yield the pieces, each of whole elements. FileRefused where it is no array."""
        self._grow()
        while not self._text.lstrip(SPACE):
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
        while sum(map(len, more)) < max(read_blocks.PIECE_BYTES, len(self._text)) and (block := next(self._blocks, b"")):
            more.append(block)
        self._text = b"".join([self._text, *more])
        return bool(more)

    def _drop(self, end: int) -> None:
        self._line += newlines(self._text, 0, end)
        self._offset += end
        self._text = self._text[end:]

    def _is_empty(self) -> bool:
        while not (start := self._text.lstrip(SPACE)) and self._grow():
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
                raise too_long(self._path, self._line, self._limits)
            if not self._grow():
                raise self._refused(self._fault(self._text))

    def _scan(self, text: str) -> tuple[int, int, bool] | None:
        found = None
        at = after_space(self._text, 0)
        while at < len(text):
            try:
                _, end = _SCANNER.raw_decode(text, at)
            except (json.JSONDecodeError, RecursionError):
                break
            following = after_space(self._text, end)
            if self._text[following : following + 1] == b"]":
                return end, following + 1, True
            if self._text[following : following + 1] != b",":
                break
            found = end, following + 1, False
            boundary = _BOUNDARY.match(self._text, end - 1)
            self._boundary = self._boundary if boundary is None else boundary[0]
            at = after_space(self._text, following + 1)
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
        return JsonFault("is no JSON: a comma stands before the array's end", after_space(text, 0))

    def _piece(self, end: int) -> Elements:
        piece = Elements(self._text[:end], self._line)
        try:
            elements(b"[" + piece.data + b"]")
        except JsonFault as error:
            raise self._refused(JsonFault(error.reason, None if error.byte is None else error.byte - 1)) from error
        return piece

    def _refused(self, error: JsonFault) -> FileRefused:
        where = "" if error.byte is not None else f" (in the element at line {self._line})"
        return FileRefused(f"{self._path.name}: the array {placed(error, self._text, self._line, self._offset)}{where}.")

    def _end(self) -> None:
        while not self._text.strip(SPACE):
            self._drop(len(self._text))
            if not self._grow():
                return
        raise self._refused(JsonFault("is followed by more", after_space(self._text, 0)))
