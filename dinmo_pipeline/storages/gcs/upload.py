"""A file sent to a GCS bucket in chunks, of which the last one is sent when it may be seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dinmo_pipeline.loopback import is_loopback
from dinmo_pipeline.storages.object_store.multipart import read_piece

if TYPE_CHECKING:
    from google.cloud.storage import Blob

# The line is idle between two chunks, each of which is in memory, twice; Google takes multiples of the second alone.
_MOST_A_CHUNK = 100 * 1024 * 1024
_CHUNK_STEP = 256 * 1024


class ChunkedUpload:
    """One resumable upload of a local file of `size` bytes. `patience` is the library's retry and timeout.

    Google makes the object when all bytes that it was told of have come, and forgets an upload that is not complete within a week.
    """

    def __init__(self, blob: Blob, local_path: Path, size: int, content_type: str, patience: dict[str, Any]) -> None:
        # As few chunks as may be, and so large that less than one step of each is left for the last.
        self._before_last = -(-size // _MOST_A_CHUNK)
        chunk = (size - 1) // self._before_last // _CHUNK_STEP * _CHUNK_STEP
        self._timeout = patience["timeout"]
        # The library's public calls are made of this one: they send all chunks, and its writer, when Python closes it, makes an object of
        # what has come. Google gets the checksum with the last chunk, and the library compares the one in its answer.
        self._upload, self._transport = blob._initiate_resumable_upload(
            None, _Reopened(local_path, size), content_type, size, chunk_size=chunk, checksum="crc32c", **patience
        )

    @property
    def foreign_host(self) -> str | None:
        """The host that the server wants the rows to go to, where that is neither its own nor Google's; else None."""
        chosen, asked = (urlsplit(address).hostname or "" for address in (self._upload.resumable_url, self._upload.upload_url))
        own = chosen == asked or f".{chosen}".endswith(".googleapis.com") or (is_loopback(chosen) and is_loopback(asked))
        return None if own else chosen

    def send(self) -> None:
        """Send all chunks but the last."""
        for _ in range(self._before_last):
            self._upload.transmit_next_chunk(self._transport, timeout=self._timeout)

    def complete(self) -> None:
        """Send the rest."""
        while not self._upload.finished:
            self._upload.transmit_next_chunk(self._transport, timeout=self._timeout)


class _Reopened:
    """A local file that is open only while it is read: a thousand uploads may wait for their last chunk."""

    def __init__(self, local_path: Path, size: int) -> None:
        self._local_path, self._size, self._position = local_path, size, 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        self._position = position

    def read(self, count: int) -> bytes:
        piece = read_piece(self._local_path, self._size, self._position, count)
        self._position += len(piece)
        return piece
