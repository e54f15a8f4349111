"""What is sent of a local file to a GCS bucket, and in which pieces."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import google_crc32c

from dinmo_pipeline.loopback import is_loopback
from dinmo_pipeline.storages.object_store.multipart import read_piece

CHUNK_STEP = 256 * 1024
"""Google takes chunks of a multiple of these bytes, but for the last one."""
# The line is idle between two chunks.
MOST_A_CHUNK = 100 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Staged:
    """A local file of `size` bytes that nobody sees under `path` (bucket/key) yet.

    All but its end has been sent to the upload at `location`; without one, it goes there in one request when it may be seen.
    """

    local_path: Path
    path: str
    size: int
    metadata: dict[str, str]
    content_type: str
    location: str | None = None
    sent: int = 0
    crc32c: str = ""


@dataclass(frozen=True)
class FilePiece:
    """A piece of a local file as the body of a request: read for each try, off the event loop, while it is sent.

    PermanentStorageError when the file has become shorter than its `size`.
    """

    local_path: Path
    size: int
    position: int
    length: int

    async def __aiter__(self) -> AsyncIterator[bytes]:
        end = self.position + self.length
        for start in range(self.position, end, _BLOCK_BYTES):
            yield await asyncio.to_thread(read_piece, self.local_path, self.size, start, min(_BLOCK_BYTES, end - start))


def checksum_text(checksum: google_crc32c.Checksum) -> str:
    """Return the CRC32C as Google writes it."""
    return base64.b64encode(checksum.digest()).decode("ascii")


def crc32c_of(local_path: Path) -> str:
    """Return the CRC32C of a whole file."""
    checksum = google_crc32c.Checksum()
    with local_path.open("rb", buffering=0) as stream:
        while block := stream.read(_BLOCK_BYTES):
            checksum.update(block)
    return checksum_text(checksum)


def foreign_host(asked: str, location: str) -> str | None:
    """Return the host that the server wants the rows to go to, where that is neither its own nor Google's; else None."""
    chosen, own = (urlsplit(address).hostname or "" for address in (location, asked))
    known = chosen == own or f".{chosen}".endswith(".googleapis.com") or (is_loopback(chosen) and is_loopback(own))
    return None if known else chosen
