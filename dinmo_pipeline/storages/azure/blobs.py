"""What is asked of one blob: its blocks one beside another, all of it in one request, its parts, a copy of it."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobClient

from dinmo_pipeline.storages.azure.errors import CopyEnded, OtherBytes
from dinmo_pipeline.storages.object_store.contract import SHA256, content_type
from dinmo_pipeline.storages.object_store.multipart import block_size, check_unchanged, in_flight, read_piece

T = TypeVar("T")

PART_BYTES = 4 * 1024 * 1024
"""What one request for a part of a file brings."""
_MOST_BLOCKS = 50_000
_COPY_POLL_SECONDS = 0.5


class InThread(Protocol):
    """Does in a thread what would hold up the event loop."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def send_blocks(blob: BlobClient, local_path: Path, size: int, in_thread: InThread) -> Sequence[str]:
    """Send a local file's blocks, each verified, and tell their names: nobody sees anything of them.

    PermanentStorageError when the file has not the `size` that it had.
    """
    length = block_size(size, most_blocks=_MOST_BLOCKS)

    def read(index: int) -> tuple[bytes, bytearray]:
        piece = read_piece(local_path, size, index * length, length)
        return piece, _md5(piece)

    async def send(index: int) -> str:
        piece, md5 = await in_thread(lambda: read(index))
        # Uploads to one name share their uncommitted blocks; names of its own keep the bytes of each apart. They have
        # 48 digits because all names of a blob's blocks must be as long, and Azure's own tools take so many.
        name = f"{uuid.uuid4().int:048d}"
        # With its MD5 sent along, Azure takes a block only if it got these very bytes; `validate_content` would add it up in the loop.
        answer = await blob.stage_block(name, piece, length=len(piece), transactional_content_md5=md5)
        # Not every server tells what it has got.
        _check_md5(answer.get("content_md5") or md5, md5)
        return name

    names = await in_flight(-(-size // length), send)
    check_unchanged(local_path, size)
    return names


async def commit_blocks(blob: BlobClient, names: Sequence[str], sha256: str) -> None:
    """Make the file of its blocks: it appears whole."""
    settings, metadata = _settings(blob), {SHA256: sha256}
    await blob.commit_block_list([BlobBlock(name) for name in names], content_settings=settings, metadata=metadata)


async def write_file(blob: BlobClient, content: bytes, in_thread: InThread) -> None:
    """Write and verify a file in one request, whether there is one or not."""
    sha256 = await in_thread(lambda: hashlib.sha256(content).hexdigest())
    await write(blob, content, in_thread, metadata={SHA256: sha256}, overwrite=True, content_settings=_settings(blob))


async def write(blob: BlobClient, content: bytes, in_thread: InThread, **options: Any) -> str:
    """Write and verify a file in one request, by these of Azure's options; its version."""
    md5 = await in_thread(lambda: _md5(content))
    answer = await blob.upload_blob(content, length=len(content), transactional_content_md5=md5, **options)
    _check_md5(answer.get("content_md5") or b"", md5)
    return str(answer["etag"])


async def fetch(blob: BlobClient, begin: Callable[[int], AbstractContextManager[BinaryIO]], at_once: int, in_thread: InThread) -> None:
    """Write a blob's bytes to what `begin` opens, which is told their number first.

    The first request brings `at_once` bytes at most, the others follow one beside another. adlfs and Azure's client leave some behind
    that still write when one has failed.
    """
    first = await blob.download_blob(max_concurrency=1)
    size, start, version, writing = first.size, min(first.size, at_once), first.properties.etag, asyncio.Lock()
    beginning = [await first.read(start)] if start else []
    # It holds as much.
    del first
    with begin(size) as target:

        def write_at(position: int, piece: bytes) -> None:
            target.seek(position)
            target.write(piece)

        async def copy(index: int) -> None:
            position = start + index * PART_BYTES
            part = await blob.download_blob(
                position,
                min(PART_BYTES, size - position),
                max_concurrency=1,
                etag=version,
                match_condition=MatchConditions.IfNotModified,
            )
            piece = await part.readall()
            async with writing:
                await in_thread(partial(write_at, position, piece))

        if beginning:
            await in_thread(partial(write_at, 0, beginning.pop()))
        await in_flight(-(-(size - start) // PART_BYTES), copy)


async def copy(source: BlobClient, target: BlobClient) -> None:
    """Copy a blob within the account, and wait until that is done, which adlfs does not. CopyEnded where it does not succeed."""
    status = str((await target.start_copy_from_url(source.url))["copy_status"])
    while status == "pending":
        await asyncio.sleep(_COPY_POLL_SECONDS)
        status = str((await target.get_blob_properties()).copy.status)
    if status != "success":
        raise CopyEnded(status)


def _settings(blob: BlobClient) -> ContentSettings:
    return ContentSettings(content_type=content_type(blob.blob_name))


def _md5(content: bytes) -> bytearray:
    return bytearray(hashlib.md5(content, usedforsecurity=False).digest())


def _check_md5(found: bytes | bytearray, md5: bytearray) -> None:
    if bytes(found) != bytes(md5):
        raise OtherBytes("Azure has other bytes than were sent")
