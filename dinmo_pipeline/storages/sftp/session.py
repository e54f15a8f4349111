"""Files on an open SFTP connection: several blocks in flight, flushed and counted before a write is done."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, MutableSequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import asyncssh
from asyncssh.sftp import MAX_SFTP_READ_LEN, MAX_SFTP_WRITE_LEN

from dinmo_pipeline.errors import StorageError, TransientStorageError
from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.storages.base import NO_SIZE, Listing, RemoteFile, Storage, unread_line
from dinmo_pipeline.storages.event_loop import run_in_background
from dinmo_pipeline.storages.intake import LimitBroken, ListingCount, TransferCount
from dinmo_pipeline.storages.permissions import (
    DELETE,
    LIST,
    LOOK,
    MAKE_FOLDER,
    MOVE,
    MOVE_ATTEMPTS,
    OVERWRITE,
    READ,
    WRITE,
    Action,
    LocalFile,
)
from dinmo_pipeline.storages.sftp.errors import FAULTS, Circumstances, disk_full, translated

T = TypeVar("T")

# Enough for a distant server, and all the memory that a transfer takes. OpenSSH takes blocks of 255 KiB; others are given 16 KiB.
_BYTES_IN_FLIGHT = 4 * 1024 * 1024
_MOST_REQUESTS_IN_FLIGHT = 128
IDLE_SECONDS = 180.0
"""How long one request may go unanswered: flushing a large file to a slow disk takes a while."""
CLOSING_SECONDS = 10.0
_BROKEN = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
_REFUSED = (asyncssh.SFTPOpUnsupported, asyncssh.SFTPPermissionDenied)
_MAYBE_A_FILE = {asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_UNKNOWN}


class SftpServer(Storage):
    """An open SFTP session. A move is one step with `posix-rename`; on a server without it the old file is removed just before.

    `where` is what errors call the server; `start` is where relative paths begin.
    """

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        client: asyncssh.SFTPClient,
        *,
        user: str,
        where: str,
        start: str,
        moves: bool,
        limits: IntakeLimits,
    ) -> None:
        self.moves = moves
        self._connection = connection
        self._client = client
        self._user = user
        self._where = where
        self._start = start
        self._limits = limits

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A connection that is broken already needs no farewell.
        with suppress(*FAULTS):
            run_in_background(self._close())

    def make_folder(self, remote_folder: str) -> None:
        self._run(MAKE_FOLDER, remote_folder, self._make_folder(remote_folder or "."))

    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        with LocalFile(local_path, "rb") as source:
            self._run(WRITE, remote_path, self._put(source, remote_path))

    def read(self, remote_path: str, local_path: Path) -> None:
        with LocalFile(local_path, "wb") as target:
            self._run(READ, remote_path, self._read(remote_path, target, None))

    def read_listed(self, remote_path: str, local_path: Path, size: int) -> None:
        with LocalFile(local_path, "wb") as target:
            self._run(READ, remote_path, self._read(remote_path, target, size))

    def stat(self, remote_path: str) -> RemoteFile | None:
        return self._run(LOOK, remote_path, self._stat(remote_path))

    def move(self, remote_path: str, target_path: str) -> None:
        self._run(MOVE, target_path, self._move(remote_path, target_path))

    def delete(self, remote_path: str) -> None:
        self._run(DELETE, remote_path, self._delete(remote_path))

    def list(self, remote_folder: str) -> Listing:
        return self._run(LIST, remote_folder, self._list(remote_folder or "."))

    async def _close(self) -> None:
        self._connection.close()
        await asyncio.wait_for(self._connection.wait_closed(), CLOSING_SECONDS)

    async def _make_folder(self, remote_folder: str) -> None:
        try:
            await _answer(self._client.stat(remote_folder))
        except _REFUSED:
            # Who may write there and not look makes it if it is missing; whether that was needed is for the file to say.
            with suppress(asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists, *_REFUSED, asyncssh.SFTPNoSuchFile):
                await _answer(self._client.mkdir(remote_folder))
        except asyncssh.SFTPNoSuchFile:
            parent = posixpath.dirname(remote_folder)
            if parent not in {remote_folder, ""}:
                await self._make_folder(parent)
            try:
                await _answer(self._client.mkdir(remote_folder))
            except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                # Another delivery may have made it in between.
                if not await _answer(self._client.isdir(remote_folder)):
                    raise

    async def _put(self, source: LocalFile, remote_path: str) -> None:
        file = await self._open_for_writing(remote_path)
        try:
            length = min(self._client.limits.max_write_len, MAX_SFTP_WRITE_LEN)
            blocks = ((position, min(length, source.size - position)) for position in range(0, source.size, length))
            await _in_flight((file.write(source.read_at(position, size), position) for position, size in blocks), length)
            with suppress(*_REFUSED):
                await _answer(file.fsync())
            found = await self._written_size(file, remote_path, source.size)
            await _answer(file.close())
        except asyncssh.SFTPFailure:
            # Version 3 of the protocol, which servers speak, has no code for a full disk.
            await self._raise_if_disk_full(remote_path, source.size)
            raise
        finally:
            with suppress(*FAULTS):
                await asyncio.wait_for(file.close(), CLOSING_SECONDS)
        if found is not None and found != source.size:
            raise TransientStorageError(
                f"wrote {source.size:,} bytes to {remote_path} on {self._where}, then found {found:,}; "
                "something else writes there, or the server lost some"
            )

    async def _written_size(self, file: asyncssh.SFTPClientFile, remote_path: str, expected: int) -> int | None:
        """Return the size of the open file, as the server tells it.

        None where it does not: its answers to each write and to the end must do.
        """
        found: int | None = None
        # Of the open file that takes no right to read, and nobody can have taken the file away yet; some servers do not know it.
        async for size in self._sizes(file, remote_path):
            if size == expected:
                return size
            found = size if found is None else found
        return found

    async def _sizes(self, file: asyncssh.SFTPClientFile, remote_path: str) -> AsyncIterator[int]:
        """Yield what the server tells of an open file's size: of the file, then of its path, where it grants the request."""
        stats: tuple[Callable[[], Awaitable[asyncssh.SFTPAttrs]], ...] = (file.stat, partial(self._client.stat, remote_path))
        for stat in stats:
            try:
                size = (await _answer(stat())).size
            except _BROKEN:
                raise
            except asyncssh.SFTPError:
                continue
            if size is not None:
                yield size

    async def _open_for_writing(self, remote_path: str) -> asyncssh.SFTPClientFile:
        try:
            return await _answer(self._client.open(remote_path, "wb", block_size=0))
        except asyncssh.SFTPPermissionDenied as error:
            if await self._exists(remote_path):
                raise self._translated(error, OVERWRITE, remote_path) from error
            raise
        except asyncssh.SFTPFailure as error:
            with suppress(*FAULTS):
                if await _answer(self._client.isdir(remote_path)):
                    raise self._translated(asyncssh.SFTPFileIsADirectory(error.reason), WRITE, remote_path) from error
            await self._raise_if_disk_full(remote_path, 1)
            raise

    async def _raise_if_disk_full(self, remote_path: str, needed: int) -> None:
        with suppress(*FAULTS):
            disk = await _answer(self._client.statvfs(posixpath.dirname(remote_path) or "."))
            free = disk.bavail * disk.frsize
            if free < needed:
                raise disk_full(WRITE.described(remote_path, self._where), free)

    async def _read(self, remote_path: str, target: LocalFile, listed_size: int | None) -> None:
        count = TransferCount(target.stream.fileno(), self._limits, listed=listed_size)
        async with await _answer(self._client.open(remote_path, "rb", block_size=0)) as file:
            # Where the server tells no size, or 0 of every file, it is read to its end.
            expected = await anext(self._sizes(file, remote_path), None) or None
            count.expect(expected)
            length = min(self._client.limits.max_read_len, MAX_SFTP_READ_LEN)

            async def fetch(position: int, end: int | None) -> None:
                while end is None or position < end:
                    asked = length if end is None else end - position
                    async with _in_time(count):
                        block = await _answer(file.read(asked, position))
                    assert isinstance(block, bytes)
                    if not block and end is None:
                        return
                    if not block:
                        raise TransientStorageError(
                            f"read {position:,} bytes of {remote_path} on {self._where}, which should have {expected:,}; "
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

    async def _stat(self, remote_path: str) -> RemoteFile | None:
        with suppress(asyncssh.SFTPNoSuchFile):
            return _remote_file(posixpath.basename(remote_path), await _answer(self._client.stat(remote_path)))
        return None

    async def _exists(self, remote_path: str) -> bool:
        with suppress(*FAULTS):
            await _answer(self._client.stat(remote_path))
            return True
        return False

    async def _move(self, remote_path: str, target_path: str) -> None:
        # A server may refuse the extension and yet allow the plain request, which never overwrites.
        with suppress(*_REFUSED, asyncssh.SFTPFailure, asyncssh.SFTPBadMessage):
            await _answer(self._client.posix_rename(remote_path, target_path))
            return
        for attempt in range(MOVE_ATTEMPTS):
            try:
                await _answer(self._client.rename(remote_path, target_path))
                return
            except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists, asyncssh.SFTPPermissionDenied):
                if attempt == MOVE_ATTEMPTS - 1:
                    raise
            if attempt == 0:
                # Only if it may be renamed at all, so that a file in the way is the reason, may the old one go.
                await _answer(self._client.rename(remote_path, f"{remote_path}~"))
                await _answer(self._client.rename(f"{remote_path}~", remote_path))
            # Another delivery may be faster: then the next try says so.
            if await self._stat(target_path) is not None:
                await self._delete(target_path)
            elif await _answer(self._client.isdir(target_path)):
                raise asyncssh.SFTPFileIsADirectory("a folder has this name")

    async def _delete(self, remote_path: str) -> None:
        with suppress(asyncssh.SFTPNoSuchFile):
            await _answer(self._client.remove(remote_path))

    async def _list(self, remote_folder: str) -> Listing:
        files: list[RemoteFile] = []
        unread: list[str] = []
        count = ListingCount(self._limits)
        try:
            async with _in_time(count):
                await self._list_into(files, unread, remote_folder, count)
        except asyncssh.SFTPNoSuchFile:
            return Listing(is_missing=True)
        return Listing(files, unread=unread)

    async def _list_into(
        self, files: MutableSequence[RemoteFile], unread: MutableSequence[str], remote_folder: str, count: ListingCount
    ) -> None:
        async for entry in self._client.scandir(remote_folder):
            name, attributes = str(entry.filename), entry.attrs
            count.add_entries()
            count.add_bytes(len(name))
            is_link = attributes.type == asyncssh.FILEXFER_TYPE_SYMLINK
            file = _remote_file(name, attributes)
            if is_link or (file is not None and (file.size is None or attributes.type == asyncssh.FILEXFER_TYPE_UNKNOWN)):
                # What the listing leaves out a server may tell when it is asked of the file itself.
                file = await self._stat(posixpath.join(remote_folder, name))
            if file is not None and file.size is None:
                unread.append(unread_line(name, NO_SIZE))
            elif file is not None:
                files.append(replace(file, is_link=is_link))

    def _run(self, action: Action, remote_path: str, work: Coroutine[Any, Any, T]) -> T:
        try:
            return run_in_background(work)
        except FAULTS as error:
            raise self._translated(error, action, remote_path) from error

    def _translated(self, error: BaseException, action: Action, remote_path: str) -> StorageError:
        right, start = action.missing_right(remote_path), f"relative ones start at {self._start}"
        circumstances = Circumstances(user=self._user, right=right, start=start, is_in=True)
        return translated(error, action.described(remote_path, self._where), circumstances)


async def _answer(request: Awaitable[T]) -> T:
    return await asyncio.wait_for(request, IDLE_SECONDS)


@asynccontextmanager
async def _in_time(count: TransferCount | ListingCount) -> AsyncIterator[None]:
    """End what is done here when the time is over that `count` leaves, with LimitBroken."""
    try:
        async with asyncio.timeout(count.seconds_left):
            yield
    except TimeoutError:
        _ = count.seconds_left
        raise


async def _in_flight(requests: Iterable[Coroutine[Any, Any, object]], length: int) -> None:
    """Run the requests of `length` bytes each, some at a time, each made when its turn comes; the first fault ends them all."""
    most = max(1, min(_MOST_REQUESTS_IN_FLIGHT, _BYTES_IN_FLIGHT // length))
    pending: set[asyncio.Task[object]] = set()

    async def settle() -> None:
        nonlocal pending
        done, pending = await asyncio.wait(pending, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
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


def _remote_file(name: str, attributes: asyncssh.SFTPAttrs) -> RemoteFile | None:
    if attributes.type not in _MAYBE_A_FILE:
        return None
    return RemoteFile(name=name, size=attributes.size, modified=_instant(attributes.mtime))


def _instant(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        # A number that is no time of this world is for this file alone.
        return None
