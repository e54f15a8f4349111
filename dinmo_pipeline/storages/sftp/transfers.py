"""One file over an SFTP channel: several blocks in flight; flushed and counted before a write is done, limited while it is read."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import asyncssh
from asyncssh.sftp import MAX_SFTP_READ_LEN, MAX_SFTP_WRITE_LEN

from dinmo_pipeline.errors import TransientStorageError
from dinmo_pipeline.storages.event_loop import in_time
from dinmo_pipeline.storages.intake import LimitBroken, TransferCount
from dinmo_pipeline.storages.permissions import WRITE, LocalFile
from dinmo_pipeline.storages.sftp import channels
from dinmo_pipeline.storages.sftp.channels import REFUSED, answered
from dinmo_pipeline.storages.sftp.errors import FAULTS, disk_full

# Enough for a distant server, and all the memory that a transfer takes. OpenSSH takes blocks of 255 KiB; others are given 16 KiB.
_BYTES_IN_FLIGHT = 4 * 1024 * 1024
_MOST_REQUESTS_IN_FLIGHT = 128
_BROKEN = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)


class Source(Protocol):
    """Bytes that are written, in any order."""

    size: int

    def read_at(self, position: int, length: int) -> bytes: ...


class Content:
    """Bytes in memory as a Source."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self.size = len(value)

    def read_at(self, position: int, length: int) -> bytes:
        return self._value[position : position + length]


class Transfer:
    """A file that is written or read on an open channel; `where` is what errors call the server."""

    def __init__(self, channel: asyncssh.SFTPClient, remote_path: str, where: str) -> None:
        self._channel = channel
        self._path = remote_path
        self._where = where

    async def write(self, source: Source) -> None:
        """Write the source's bytes: flushed, and their number told by the server where it tells any. May leave a part when it raises.

        TransientStorageError where the server has another number of bytes, PermanentStorageError where its disk is full.
        """
        file = await self._open_for_writing()
        try:
            length = min(self._channel.limits.max_write_len, MAX_SFTP_WRITE_LEN)
            blocks = ((position, min(length, source.size - position)) for position in range(0, source.size, length))
            await _in_flight((file.write(source.read_at(position, size), position) for position, size in blocks), length)
            with suppress(*REFUSED):
                await answered(file.fsync())
            found = await self._written_size(file, source.size)
            await answered(file.close())
        except asyncssh.SFTPFailure:
            # Version 3 of the protocol, which servers speak, has no code for a full disk.
            await self._raise_if_disk_full(source.size)
            raise
        finally:
            with suppress(*FAULTS):
                await asyncio.wait_for(file.close(), channels.CLOSING_SECONDS)
        if found is not None and found != source.size:
            raise TransientStorageError(
                f"wrote {source.size:,} bytes to {self._path} on {self._where}, then found {found:,}; "
                "something else writes there, or the server lost some"
            )

    async def read(self, target: LocalFile, count: TransferCount) -> None:
        """Read the whole file into the target, each byte counted before it is written. LimitBroken where that is too much."""
        async with await answered(self._channel.open(self._path, "rb", block_size=0)) as file:
            # Where the server tells no size, or 0 of every file, it is read to its end.
            expected = await anext(self._sizes(file), None) or None
            count.expect(expected)
            length = min(self._channel.limits.max_read_len, MAX_SFTP_READ_LEN)

            async def fetch(position: int, end: int | None) -> None:
                while end is None or position < end:
                    asked = length if end is None else end - position
                    async with in_time(count):
                        block = await answered(file.read(asked, position))
                    assert isinstance(block, bytes)
                    if not block and end is None:
                        return
                    if not block:
                        raise TransientStorageError(
                            f"read {position:,} bytes of {self._path} on {self._where}, which should have {expected:,}; "
                            "something else writes there"
                        )
                    if len(block) > asked:
                        found = f"the server was asked for {asked:,} bytes, and sent {len(block):,}"
                        raise LimitBroken(found, "it does not speak SFTP as it should; ask its owner")
                    count.add(len(block))
                    target.write_at(position, block)
                    position += len(block)

            if expected is None:
                await fetch(0, None)
            else:
                await _in_flight((fetch(at, min(at + length, expected)) for at in range(0, expected, length)), length)

    async def _open_for_writing(self) -> asyncssh.SFTPClientFile:
        try:
            return await answered(self._channel.open(self._path, "wb", block_size=0))
        except asyncssh.SFTPFailure as error:
            is_folder = False
            with suppress(*FAULTS):
                is_folder = await answered(self._channel.isdir(self._path))
            if is_folder:
                raise asyncssh.SFTPFileIsADirectory(error.reason) from error
            await self._raise_if_disk_full(1)
            raise

    async def _raise_if_disk_full(self, needed: int) -> None:
        with suppress(*FAULTS):
            disk = await answered(self._channel.statvfs(posixpath.dirname(self._path) or "."))
            free = disk.bavail * disk.frsize
            if free < needed:
                raise disk_full(WRITE.described(self._path, self._where), free)

    async def _written_size(self, file: asyncssh.SFTPClientFile, expected: int) -> int | None:
        """Return the size of the open file, as the server tells it.

        None where it does not: its answers to each write and to the end must do.
        """
        found: int | None = None
        # Of the open file that takes no right to read, and nobody can have taken the file away yet; some servers do not know it.
        async for size in self._sizes(file):
            if size == expected:
                return size
            found = size if found is None else found
        return found

    async def _sizes(self, file: asyncssh.SFTPClientFile) -> AsyncIterator[int]:
        """Yield what the server tells of an open file's size: of the file, then of its path, where it grants the request."""
        stats: tuple[Callable[[], Awaitable[asyncssh.SFTPAttrs]], ...] = (file.stat, partial(self._channel.stat, self._path))
        for stat in stats:
            try:
                size = (await answered(stat())).size
            except _BROKEN:
                raise
            except asyncssh.SFTPError:
                continue
            if size is not None:
                yield size


async def read_at(file: asyncssh.SFTPClientFile, position: int, length: int | None) -> bytes:
    """Return `length` bytes from `position`, None for all; fewer only where the file ends before, whatever size the server tells of it."""
    content = bytearray()
    while length is None or len(content) < length:
        asked = _BYTES_IN_FLIGHT if length is None else min(length - len(content), _BYTES_IN_FLIGHT)
        block = await answered(file.read(asked, position + len(content)))
        assert isinstance(block, bytes)
        if not block:
            break
        content += block[:asked]
    return bytes(content)


async def _in_flight(requests: Iterable[Coroutine[Any, Any, object]], length: int) -> None:
    """Run the requests of `length` bytes each, some at a time, each made when its turn comes; the first fault ends them all."""
    most = max(1, min(_MOST_REQUESTS_IN_FLIGHT, _BYTES_IN_FLIGHT // length))
    pending: set[asyncio.Task[object]] = set()

    async def settle() -> None:
        nonlocal pending
        done, pending = await asyncio.wait(pending, timeout=channels.IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeoutError
        # All are asked: asyncio complains of a fault that nobody looked at.
        faults = [fault for task in done if (fault := task.exception()) is not None]
        if faults:
            raise faults[0]

    try:
        for request in requests:
            pending.add(asyncio.ensure_future(request))
            if len(pending) == most:
                await settle()
        while pending:
            await settle()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
