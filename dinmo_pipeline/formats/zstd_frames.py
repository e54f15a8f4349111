"""Where the frames of a zstd file end (RFC 8878), so that what comes after them can be told from a frame that is damaged."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

_FRAME: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE, _SKIPPABLE_MASK = 0x184D2A50, 0xFFFFFFF0
_DICTIONARY_BYTES, _SIZE_BYTES = (0, 1, 2, 4), (0, 2, 4, 8)
_RLE_BLOCK: Final = 1
# A block of no literals and no sequences has these.
_PACKED_BLOCK, _NOTHING_PACKED_BYTES = 2, 2
_READ: Final = 256 * 1024
MOST_EMPTY: Final = 20_000
"""How many archives without content may follow one another: who unpacks them comes back with content alone, so nobody looks at the time."""


class Trailing(ValueError):
    """An archive has ended at byte `end`, and `found`, which is no archive, comes after it."""

    def __init__(self, end: int, found: str) -> None:
        super().__init__(found)
        self.end = end
        self.found = found


class ZstdFrames(io.RawIOBase):
    """The bytes of a zstd file without zeros that pad it after its last frame; they are neither unpacked nor checked.

    Reading raises Trailing where frames are followed by anything else. Closing leaves `file` open.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = io.BufferedReader(file, _READ)
        self._taken = 0
        self._pieces = self._frames()
        self._rest = b""
        self._empty = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most so many bytes; none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        end = len(self._rest) if size < 0 else size
        read, self._rest = self._rest[:end], self._rest[end:]
        return read

    def _frames(self) -> Iterator[bytes]:
        frames = 0
        while magic := self._take(4):
            # Until there is something in it.
            self._empty += 1
            if self._empty > MOST_EMPTY:
                raise Trailing(self._taken - len(magic), f"more than {MOST_EMPTY:,} frames without content")
            if magic == _FRAME:
                yield magic
                yield from self._frame()
            elif int.from_bytes(magic, "little") & _SKIPPABLE_MASK == _SKIPPABLE and len(magic) == 4:
                size = self._take(4)
                yield magic + size
                yield from self._many(int.from_bytes(size, "little"))
            elif not frames:
                # No zstd at all, or one that is older than its standard: who unpacks it says so.
                yield magic
                yield from iter(lambda: self._take(_READ), b"")
            else:
                self._require_padding(magic)
            frames += 1

    def _frame(self) -> Iterator[bytes]:
        descriptor = self._take(1)
        flags = int.from_bytes(descriptor, "little")
        single, has_checksum = flags >> 5 & 1, flags >> 2 & 1
        size = max(_SIZE_BYTES[flags >> 6], single)
        yield descriptor + self._take((1 - single) + _DICTIONARY_BYTES[flags & 3] + size)
        last = 0
        while not last:
            header = self._take(3)
            if len(header) < 3:
                yield header
                return
            block = int.from_bytes(header, "little")
            last = block & 1
            if block >> 3 > (_NOTHING_PACKED_BYTES if block >> 1 & 3 == _PACKED_BLOCK else 0):
                self._empty = 0
            yield header + self._take(1 if block >> 1 & 3 == _RLE_BLOCK else block >> 3)
        yield self._take(4 * has_checksum)

    def _require_padding(self, begin: bytes) -> None:
        end, more = self._taken - len(begin), begin
        while more:
            if more.strip(b"\0"):
                raise Trailing(end, f"they begin with {begin.hex(' ')}")
            more = self._take(_READ)

    def _many(self, size: int) -> Iterator[bytes]:
        while size and (some := self._take(min(size, _READ))):
            size -= len(some)
            yield some

    def _take(self, size: int) -> bytes:
        taken = self._file.read(size)
        self._taken += len(taken)
        return taken

    def close(self) -> None:
        """Release nothing: the file alone is held, and it is its opener's."""
        if not self.closed and not self._file.raw.closed:
            self._file.detach()
        super().close()
