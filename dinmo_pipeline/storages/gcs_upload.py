"""A file sent to a GCS bucket in chunks, of which the last one is sent when it may be seen."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from google.cloud.storage import Blob
from google.cloud.storage.fileio import BlobWriter

from dinmo_pipeline.storages.blocks import size_changed

# The line is idle between two chunks, each of which is in memory; Google takes multiples of the second alone.
_MOST_A_CHUNK = 32 * 1024 * 1024
_CHUNK_STEP = 256 * 1024


class ChunkedUpload(BlobWriter):  # type: ignore[misc] # the library has no types
    """One resumable upload of a local file of `size` bytes. `options` are those of the library's own writer.

    Google makes the object with the last chunk, and forgets an upload whose last chunk does not come within a week.
    """

    def __init__(self, blob: Blob, local_path: Path, size: int, **options: object) -> None:
        # As few chunks as may be, and so large that less than one step of each is left for the last.
        self._count = -(-size // _MOST_A_CHUNK)
        self._chunk = (size - 1) // self._count // _CHUNK_STEP * _CHUNK_STEP
        self._local_path, self._size = local_path, size
        super().__init__(blob, chunk_size=self._chunk, **options)

    def send(self) -> None:
        """Send all chunks but the last."""
        with self._local_path.open("rb") as stream:
            for _ in range(self._count):
                self.write(self._read(stream, self._chunk))

    def complete(self) -> None:
        """Send the last chunk."""
        with self._local_path.open("rb") as stream:
            stream.seek(self._count * self._chunk)
            self.write(self._read(stream, self._size - self._count * self._chunk))
        self.close()

    def _read(self, stream: BinaryIO, count: int) -> bytes:
        # Google is not told the size beforehand, and would make an object of fewer bytes.
        piece = stream.read(count)
        if len(piece) < count:
            raise size_changed(self._local_path, self._size, stream.tell())
        return piece

    def __del__(self) -> None:
        # A writer that nobody needs any more is closed by Python, and to close it is to make an object of what was sent.
        return None
