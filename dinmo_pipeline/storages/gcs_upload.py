"""A file sent to a GCS bucket in chunks, of which the last one is sent when it may be seen."""

from __future__ import annotations

from pathlib import Path

from google.cloud.storage import Blob
from google.cloud.storage.fileio import BlobWriter

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
        self._local_path = local_path
        super().__init__(blob, chunk_size=self._chunk, **options)

    def send(self) -> None:
        """Send all chunks but the last."""
        with self._local_path.open("rb") as stream:
            for _ in range(self._count):
                self.write(stream.read(self._chunk))

    def complete(self) -> None:
        """Send the last chunk."""
        with self._local_path.open("rb") as stream:
            stream.seek(self._count * self._chunk)
            self.write(stream.read())
        self.close()

    def __del__(self) -> None:
        # A writer that nobody needs any more is closed by Python, and to close it is to make an object of what was sent.
        return None
