"""Opening an inbound file: its bytes as they were before compression, from beginning to end, in bounded memory."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow

from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline.formats.zstd_frames import MOST_EMPTY, Trailing, ZstdFrames
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, how_to_raise

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CODECS = {".gz": "gzip", ".zst": "zstd"}

# gzip packs at most 1,032 times; real files are packed 5 to 50 times, and those of the same line again and again some hundred.
_HARMLESS_BYTES = 256 * 1024 * 1024

_PACKED_READ = 256 * 1024
_GZIP = zlib.MAX_WBITS | 16


def open_plain(path: Path, limits: IntakeLimits = DEFAULT_LIMITS) -> io.RawIOBase:
    """Return the bytes of the file at exactly `path`; `.gz` and `.zst` in its name, in any case, are undone while it is read.

    Close it after use. Reading raises FileRefused where an archive is damaged or cut off, and where it expands past `unpacked_ratio`;
    OSError is the disk's.
    """
    return open_packed(path, _CODECS.get(path.suffix.lower()), limits)


def open_packed(path: Path, codec: str | None, limits: IntakeLimits = DEFAULT_LIMITS) -> io.RawIOBase:
    """Return the same of a file that is packed by `codec`, gzip or zstd, whatever its name."""
    file = path.open("rb", buffering=0)
    return file if codec is None else _Unpacked(file, path, codec, limits.unpacked_ratio)


class _Stream(Protocol):
    def readinto(self, buffer: WriteableBuffer) -> int: ...

    def close(self) -> None: ...


class _Gzip:
    """The content of one gzip archive after another; zeros that fill up the last block of a tape, or of a disk, are no content."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._packed = b""
        self._read = 0
        self._members = self._empty = 0
        self._member: zlib._Decompress | None = None

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read as of a raw stream. OSError without a number where the archive is damaged or cut off, Trailing where more follows."""
        view = memoryview(buffer).cast("B")
        while True:
            if self._member is None and not self._begin():
                return 0
            content = self._unpacked(len(view))
            if content:
                self._empty = 0
                view[: len(content)] = content
                return len(content)

    def close(self) -> None:
        """Release nothing: the file alone is held, and it is not closed."""

    def _begin(self) -> bool:
        """Begin the next archive; False at the end of the file."""
        end = self._read - len(self._packed)
        if self._empty > MOST_EMPTY:
            raise Trailing(end, f"more than {MOST_EMPTY:,} archives without content")
        if self._members:
            found = self._packed[:4] or (self._more() and self._packed[:4]) or b""
            # Zeros are padding only if nothing else comes after them.
            while not (rest := self._packed.lstrip(b"\0")):
                self._packed = b""
                if not self._more():
                    return False
            if not found.startswith(b"\x1f") or len(rest) < len(self._packed):
                raise Trailing(end, f"they begin with {found.hex(' ')}")
        elif not self._packed and not self._more():
            return False
        self._member = zlib.decompressobj(_GZIP)
        return True

    def _unpacked(self, most: int) -> bytes:
        member = self._member
        assert member is not None
        ended = not self._packed and not self._more()
        try:
            content = member.decompress(self._packed, most)
        except zlib.error as error:
            raise OSError(str(error)) from error
        if ended and not content and not member.eof:
            raise OSError("it ends in the middle")
        self._packed = member.unused_data if member.eof else member.unconsumed_tail
        if member.eof:
            self._member = None
            self._members += 1
            self._empty += 1
        return content

    def _more(self) -> bool:
        more = self._file.read(_PACKED_READ)
        self._packed += more
        self._read += len(more)
        return bool(more)


def _zstd(file: io.FileIO) -> _Stream:
    stream: _Stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(ZstdFrames(file), "r"), "zstd")
    return stream


class _Unpacked(io.RawIOBase):
    def __init__(self, file: io.FileIO, path: Path, codec: str, most_times: int) -> None:
        self._file = file
        self._path = path
        self._codec = codec
        self._packed_bytes = path.stat().st_size
        self._plain_bytes = 0
        self._most_times = most_times
        self._stream: _Stream = _Gzip(file) if codec == "gzip" else _zstd(file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        try:
            count = int(self._stream.readinto(buffer))
        except Trailing as error:
            raise FileRefused(
                f"{self._path.name}: the {self._codec} archive ends at byte {error.end:,}, and {self._packed_bytes - error.end:,} bytes "
                f"follow that are no part of it ({error.found}): it is damaged or cut off. Ask for the file again."
            ) from error
        except OSError as error:
            # An error of the disk has a number; what Arrow says of the archive has none.
            if error.errno is not None:
                raise
            raise FileRefused(
                f"{self._path.name}: the {self._codec} archive is damaged or cut off after {self._plain_bytes:,} bytes of its content "
                f"({error}). Ask for the file again."
            ) from error
        self._plain_bytes += count
        if self._plain_bytes > max(_HARMLESS_BYTES, self._most_times * self._packed_bytes):
            raise FileRefused(
                f"{self._path.name}: {self._packed_bytes:,} packed bytes became more than {self._plain_bytes:,}, which is past "
                f"{self._most_times} times. If the file is meant to be so, send it unpacked, or {how_to_raise('unpacked_ratio')}."
            )
        return count

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()
