"""SFTP channels of one SSH connection, as sshfs pools them: each request ends in time."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncssh
from sshfs.pools import SFTPSoftChannelPool

from dinmo_pipeline.storages.permissions import MOVE_ATTEMPTS

T = TypeVar("T")

IDLE_SECONDS = 180.0
"""How long one request may go unanswered: flushing a large file to a slow disk takes a while."""
CLOSING_SECONDS = 10.0
REFUSED = (asyncssh.SFTPOpUnsupported, asyncssh.SFTPPermissionDenied)
FILES = {asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_UNKNOWN}
"""What may be a file: some servers do not tell."""


async def answered(request: Awaitable[T]) -> T:
    """Return the answer to one request; TimeoutError when it does not come."""
    return await asyncio.wait_for(request, IDLE_SECONDS)


class Channels(SFTPSoftChannelPool):  # type: ignore[misc]
    """sshfs's pool. What it gives is limited in time, and why there is no channel at all is told as the server told it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.owner = os.getpid()

    @asynccontextmanager
    async def get(self, *, limited: bool = True) -> AsyncIterator[asyncssh.SFTPClient]:
        """Lend a channel, for requests that are `answered` in time all together; not `limited`, the caller sees to each one himself."""
        async with asyncio.timeout(IDLE_SECONDS) as limit, super().get() as channel:
            if not limited:
                limit.reschedule(None)
            yield channel

    async def _maybe_new_channel(self) -> asyncssh.SFTPClient | None:
        # sshfs takes a refusal for a limit of channels, also that of the first one.
        opening = super()._maybe_new_channel() if self.active_channels else self._first_channel()
        channel: asyncssh.SFTPClient | None = await opening
        return channel

    async def _first_channel(self) -> asyncssh.SFTPClient:
        client = self.client.start_sftp_client(**self.sftp_client_kwargs)
        channel: asyncssh.SFTPClient = await self._stack.enter_async_context(client)
        return channel


async def make_folder(channel: asyncssh.SFTPClient, path: str, attributes: asyncssh.SFTPAttrs) -> None:
    """Make the folder and its parents; fine when it exists."""
    try:
        await channel.stat(path)
    except REFUSED:
        # Who may write there and not look makes it if it is missing; whether that was needed is for the file to say.
        with suppress(asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists, *REFUSED, asyncssh.SFTPNoSuchFile):
            await channel.mkdir(path, attributes)
    except asyncssh.SFTPNoSuchFile:
        parent = posixpath.dirname(path)
        if parent not in {path, ""}:
            await make_folder(channel, parent, attributes)
        try:
            await channel.mkdir(path, attributes)
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
            # Another delivery may have made it in between.
            if not await channel.isdir(path):
                raise


async def move(channel: asyncssh.SFTPClient, path: str, target_path: str) -> None:
    """Move a file over `target_path`: in one step where the server knows `posix-rename`, else the old file is removed just before.

    sshfs copies instead, in a shell, and deletes the new file whether that worked or not.
    """
    # A server may refuse the extension and yet allow the plain request, which never overwrites.
    with suppress(*REFUSED, asyncssh.SFTPFailure, asyncssh.SFTPBadMessage):
        await channel.posix_rename(path, target_path)
        return
    for attempt in range(MOVE_ATTEMPTS):
        try:
            await channel.rename(path, target_path)
            return
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists, asyncssh.SFTPPermissionDenied):
            if attempt == MOVE_ATTEMPTS - 1:
                raise
        if attempt == 0:
            # Only if it may be renamed at all, so that a file in the way is the reason, may the old one go.
            await channel.rename(path, f"{path}~")
            await channel.rename(f"{path}~", path)
        # Another delivery may be faster: then the next try says so.
        with suppress(asyncssh.SFTPNoSuchFile):
            kind = (await channel.stat(target_path)).type
            if kind == asyncssh.FILEXFER_TYPE_DIRECTORY:
                raise asyncssh.SFTPFileIsADirectory("a folder has this name")
            if kind in FILES:
                await channel.remove(target_path)
