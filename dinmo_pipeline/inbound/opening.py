"""Opening an inbound file: its bytes as they were before compression, from beginning to end, in bounded memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow

from dinmo_pipeline.inbound.reading import FileRefused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CODECS = {".gz": "gzip", ".zst": "zstd"}

# gzip packs at most 1,032 times; real files are packed 5 to 50 times, and those of the same line again and again some hundred.
EXPANSION_LIMIT = 500
_HARMLESS_BYTES = 256 * 1024 * 1024


def open_plain(path: Path) -> io.RawIOBase:
    """The bytes of the file at exactly `path`; `.gz` and `.zst` in its name, in any case, are undone while it is read.

    Close it after use. Reading raises FileRefused where an archive is damaged or cut off, and where it expands past EXPANSION_LIMIT;
    OSError is the disk's.
    """
    codec = _CODECS.get(path.suffix.lower())
    file = path.open("rb", buffering=0)
    return file if codec is None else _Unpacked(file, path, codec)


class _Unpacked(io.RawIOBase):
    def __init__(self, file: io.FileIO, path: Path, codec: str) -> None:
        self._file = file
        self._path = path
        self._codec = codec
        self._packed_bytes = path.stat().st_size
        self._plain_bytes = 0
        self._stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(file, "r"), codec)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        try:
            count = int(self._stream.readinto(buffer))
        except OSError as error:
            # An error of the disk has a number; what Arrow says of the archive has none.
            if error.errno is not None:
                raise
            raise FileRefused(
                f"{self._path.name}: the {self._codec} archive is damaged or cut off after {self._plain_bytes:,} bytes of its content "
                f"({error}). Ask for the file again."
            ) from error
        self._plain_bytes += count
        if self._plain_bytes > max(_HARMLESS_BYTES, EXPANSION_LIMIT * self._packed_bytes):
            raise FileRefused(
                f"{self._path.name}: {self._packed_bytes:,} packed bytes became more than {self._plain_bytes:,}, which is past "
                f"EXPANSION_LIMIT ({EXPANSION_LIMIT} times). If the file is meant to be so, send it without compression."
            )
        return count

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()
