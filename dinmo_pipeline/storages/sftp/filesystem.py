"""An SFTP server as an fsspec filesystem: sshfs's, with the promises of this product where sshfs makes none."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from sshfs import SSHFileSystem
from sshfs.utils import wrap_exceptions

from dinmo_pipeline.intake_limits import read_limits
from dinmo_pipeline.storages.event_loop import blocking, in_time, run_on
from dinmo_pipeline.storages.intake import ListingCount, TransferCount
from dinmo_pipeline.storages.permissions import LocalFile
from dinmo_pipeline.storages.sftp import channels
from dinmo_pipeline.storages.sftp.channels import FILES, Channels, answered, make_folder, move
from dinmo_pipeline.storages.sftp.errors import FAULTS
from dinmo_pipeline.storages.sftp.file import SftpFile
from dinmo_pipeline.storages.sftp.login import Handshake
from dinmo_pipeline.storages.sftp.transfers import Content, Source, Transfer, read_at
from dinmo_pipeline.storages.temporary import temporary_beside

if TYPE_CHECKING:
    from dinmo_pipeline.storages.sftp.spec import SftpServerSpec

M = TypeVar("M", bound=Callable[..., Any])

_KINDS = {
    asyncssh.FILEXFER_TYPE_REGULAR: "file",
    asyncssh.FILEXFER_TYPE_DIRECTORY: "directory",
    asyncssh.FILEXFER_TYPE_SYMLINK: "link",
}


@dataclass(frozen=True)
class Staged:
    """A file that lies whole under `temporary_path`, until it is shown as `path`."""

    temporary_path: str
    path: str


def _by_errno(method: M) -> M:
    """Have a method raise what sshfs's own do: what is missing is a FileNotFoundError, what is there a FileExistsError."""
    wrapped: M = wrap_exceptions(method)
    return wrapped


class SftpFileSystem(SSHFileSystem):  # type: ignore[misc]
    """The server of a definition, logged in. Paths are as the server takes them, relative ones from the login directory.

    An instance belongs to one process; `close` ends it. It holds the definition, never its secrets. What is missing or there already is an
    OSError, what is found out about a transfer a StorageError, and all else that the server refuses an error of asyncssh.
    """

    protocol = ("sftp", "ssh")
    cachable = False

    def __init__(self, spec: SftpServerSpec, project_root: Path, **_of_this_machine: Any) -> None:
        # fsspec adds what a machine's own configuration says of `sftp`; it must not change where a delivery goes, and to whom.
        handshake = Handshake(spec, project_root)
        self.where = handshake.where
        self.user = handshake.login.username
        self._spec = spec
        self._limits = read_limits(project_root)
        try:
            super().__init__(
                handshake.login.host,
                pool_type=Channels,
                # A name that is no UTF-8 is listed readably; it must not hide all the others.
                sftp_client_kwargs={"path_errors": "backslashreplace"},
                **handshake.options,
            )
        except FAULTS as error:
            raise handshake.refusal(error) from error

    async def _connect(
        self,
        host: str,
        pool_type: type[Channels],
        max_sftp_channels: int,
        connect_args: dict[str, Any],
        sftp_client_kwargs: dict[str, Any],
        timeout: None = None,
    ) -> tuple[asyncssh.SSHClientConnection, Channels]:
        client, pool = await super()._connect(host, pool_type, max_sftp_channels, connect_args, sftp_client_kwargs)
        try:
            async with asyncio.timeout(self._spec.connect_timeout), pool.get() as channel:
                try:
                    self.start = str(await channel.realpath("."))
                except asyncssh.SFTPError:
                    self.start = "the login directory"
        except BaseException:  # an interrupt, too, must leave no connection open
            client.abort()
            raise
        return client, pool

    connect = blocking(_connect)

    async def _close(self) -> None:
        # A connection that is broken already needs no farewell.
        with suppress(*FAULTS):
            async with asyncio.timeout(channels.CLOSING_SECONDS):
                await self._pool.close()
                await self._stack.aclose()
        self._client.abort()

    close = blocking(_close)

    @staticmethod
    def _finalize(loop: asyncio.AbstractEventLoop, pool: Channels, stack: AsyncExitStack) -> None:
        # In a forked child sshfs's waits a second for a loop that does not run there.
        if pool.owner == os.getpid():
            SSHFileSystem._finalize(loop, pool, stack)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        # sshfs's takes no list, and fsspec gives it some.
        return [cls._strip_protocol(each) for each in path] if isinstance(path, list) else super()._strip_protocol(path)

    def _decode_attributes(self, attributes: asyncssh.SFTPAttrs) -> dict[str, Any]:
        # sshfs's fails where a server tells no permissions, or a time that is none of this world.
        return {"size": attributes.size, "type": _KINDS.get(attributes.type, "unknown"), "mtime": _instant(attributes.mtime)}

    info = blocking(SSHFileSystem._info)

    async def scan(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Yield each entry of the folder as `info` tells it, one after the other; LimitBroken where they are too many, or too slow.

        A link (`islink`) is what it leads to, and stays a `link` where that is not there. Raises what asyncssh raises.
        """
        count = ListingCount(self._limits)
        async with self._pool.get(limited=False) as channel, in_time(count):
            async for entry in channel.scandir(path or "."):
                name, attributes = str(entry.filename), entry.attrs
                count.add_entries()
                count.add_bytes(len(name))
                if name in {".", ".."}:
                    continue
                entry_path, is_link = posixpath.join(path, name), attributes.type == asyncssh.FILEXFER_TYPE_SYMLINK
                if is_link or (attributes.type in FILES and (attributes.size is None or attributes.type not in _KINDS)):
                    # What the listing leaves out a server may tell when it is asked of the file itself.
                    try:
                        attributes = await answered(channel.stat(entry_path))
                    except asyncssh.SFTPNoSuchFile:
                        if not is_link:
                            continue
                yield {"name": entry_path, "islink": is_link, **self._decode_attributes(attributes)}

    @_by_errno
    async def _ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        try:
            entries = [entry async for entry in self.scan(path)]
        except (asyncssh.SFTPFailure, asyncssh.SFTPNotADirectory):
            entry = await self._info(path)
            if entry["type"] == "directory":
                raise
            entries = [entry]
        return entries if detail else [entry["name"] for entry in entries]

    @_by_errno
    async def _makedirs(self, path: str, *, exist_ok: bool = False, permissions: int | None = None, **_options: Any) -> None:
        if not exist_ok and await self._exists(path):
            raise FileExistsError(f"{path} on {self.where}")
        async with self._pool.get() as channel:
            await make_folder(channel, path or ".", asyncssh.SFTPAttrs(permissions=permissions))

    makedirs = blocking(_makedirs)

    @_by_errno
    async def _mv(self, lpath: str, rpath: str, **_options: Any) -> None:
        async with self._pool.get() as channel:
            await move(channel, lpath, rpath)

    mv = blocking(_mv)
    rm_file = blocking(SSHFileSystem._rm_file)

    @_by_errno
    async def _cp_file(self, lpath: str, rpath: str, **_options: Any) -> None:
        # By the server's own request and not, as sshfs does, by a command of a shell.
        if await self._isdir(lpath):
            await self._makedirs(rpath, exist_ok=True)
            return
        await self._makedirs(self._parent(rpath), exist_ok=True)
        async with self._pool.get() as channel, channel.open(lpath, "rb") as source, channel.open(rpath, "wb") as target:
            await channel.remote_copy(source, target)

    def write(self, local_path: Path, path: str) -> None:
        """Write the local file's bytes to `path`: flushed, and their number told by the server. May leave a part there when it raises."""
        with LocalFile(local_path, "rb") as source:
            run_on(self.loop, self._write(source, path))

    @_by_errno
    async def _write(self, source: Source, path: str) -> None:
        async with self._pool.get(limited=False) as channel:
            await Transfer(channel, path, self.where).write(source)

    async def _stage(self, local_path: str | Path, path: str) -> Staged:
        """Bring the local file's bytes there, verified, under a temporary name; `commit` shows them as `path`, `discard` deletes them."""
        with LocalFile(Path(local_path), "rb") as source:
            return await self._staged(source, path)

    async def _staged(self, source: Source, path: str) -> Staged:
        staged = Staged(temporary_beside(path), path)
        try:
            await self._write(source, staged.temporary_path)
        except BaseException:  # an interrupt, too, must leave no temporary file
            with suppress(*FAULTS):
                await self._discard(staged)
            raise
        return staged

    async def _commit(self, staged: Staged) -> None:
        """Move a staged file over its path; it stays staged where the server refuses that."""
        await self._mv(staged.temporary_path, staged.path)

    async def _discard(self, staged: Staged) -> None:
        """Delete what was staged; fine when it is gone."""
        with suppress(FileNotFoundError):
            await self._rm_file(staged.temporary_path)

    stage, commit, discard = blocking(_stage), blocking(_commit), blocking(_discard)

    async def _put_file(self, lpath: str, rpath: str, callback: Callback = DEFAULT_CALLBACK, **options: Any) -> None:
        with LocalFile(Path(lpath), "rb") as source:
            await self._replace(source, rpath, **options)
            callback.relative_update(source.size)

    async def _pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        await self._replace(Content(value), path, **options)

    async def _replace(self, source: Source, path: str, mode: str = "overwrite", **_options: Any) -> None:
        """Put the bytes in the place of a file, whole; as sshfs does, make the folder first."""
        if mode == "create" and await self._exists(path):
            raise FileExistsError(f"{path} on {self.where}")
        await self._makedirs(self._parent(path), exist_ok=True)
        if self._spec.moves:
            await self._commit(await self._staged(source, path))
        else:
            await self._write(source, path)

    def fetch(self, path: str, local_path: Path, *, listed_size: int | None = None) -> None:
        """Copy the whole file to `local_path`; LimitBroken where it is more than this machine takes, or than a listing showed."""
        with LocalFile(local_path, "wb") as target:
            run_on(self.loop, self._read(path, target, listed_size))

    @_by_errno
    async def _read(self, path: str, target: LocalFile, listed_size: int | None = None) -> None:
        count = TransferCount(target.stream.fileno(), self._limits, listed=listed_size)
        async with self._pool.get(limited=False) as channel:
            await Transfer(channel, path, self.where).read(target, count)

    async def _get_file(self, rpath: str, lpath: str, callback: Callback = DEFAULT_CALLBACK, **_options: Any) -> None:
        if await self._isdir(rpath):
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        Path(lpath).parent.mkdir(parents=True, exist_ok=True)
        with LocalFile(Path(lpath), "wb") as target:
            await self._read(rpath, target)
            callback.relative_update(os.fstat(target.stream.fileno()).st_size)

    @_by_errno
    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_options: Any) -> bytes:
        # sshfs's gives the whole file, whatever part of it is asked for.
        async with self._pool.get(limited=False) as channel, channel.open(path, "rb") as file:
            if min(start or 0, end or 0) < 0:
                start, end, _ = slice(start, end).indices((await answered(file.stat())).size or 0)
            return await read_at(file, start or 0, None if end is None else max(end - (start or 0), 0))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> SftpFile:
        try:
            return SftpFile(self, path, mode, **options)
        except asyncssh.SFTPFailure as error:
            # Version 3 of the protocol has no code for what is there already.
            if "x" in mode and self.exists(path):
                raise FileExistsError(f"{path} on {self.where}") from error
            raise


def _instant(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        # A number that is no time of this world is for this file alone.
        return None
