"""An SFTP server as a storage of this product: its filesystem, with the errors and the listings of a storage."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncssh

from dinmo_pipeline.errors import StorageError
from dinmo_pipeline.storages.base import NO_SIZE, Listing, RemoteFile, Storage, unread_line
from dinmo_pipeline.storages.event_loop import run_on
from dinmo_pipeline.storages.permissions import DELETE, LIST, LOOK, MAKE_FOLDER, MOVE, OVERWRITE, READ, WRITE, Action
from dinmo_pipeline.storages.sftp.errors import FAULTS, Circumstances, translated
from dinmo_pipeline.storages.sftp.filesystem import SftpFileSystem


class SftpServer(Storage):
    """An open SFTP session. A move is one step with `posix-rename`; on a server without it the old file is removed just before."""

    def __init__(self, filesystem: SftpFileSystem, *, moves: bool) -> None:
        self.moves = moves
        self._filesystem = filesystem

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._filesystem.close()

    def make_folder(self, remote_folder: str) -> None:
        with self._translating(MAKE_FOLDER, remote_folder):
            self._filesystem.makedirs(remote_folder, exist_ok=True)

    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        with self._translating(WRITE, remote_path):
            try:
                self._filesystem.write(local_path, remote_path)
            except asyncssh.SFTPPermissionDenied as error:
                exists = False
                with suppress(StorageError):
                    exists = self.exists(remote_path)
                raise self._translated(error, OVERWRITE if exists else WRITE, remote_path) from error

    def read(self, remote_path: str, local_path: Path) -> None:
        with self._translating(READ, remote_path):
            self._filesystem.fetch(remote_path, local_path)

    def read_listed(self, remote_path: str, local_path: Path, size: int) -> None:
        with self._translating(READ, remote_path):
            self._filesystem.fetch(remote_path, local_path, listed_size=size)

    def stat(self, remote_path: str) -> RemoteFile | None:
        with self._translating(LOOK, remote_path), suppress(FileNotFoundError):
            return _remote_file(self._filesystem.info(remote_path))
        return None

    def move(self, remote_path: str, target_path: str) -> None:
        with self._translating(MOVE, target_path):
            self._filesystem.mv(remote_path, target_path)

    def delete(self, remote_path: str) -> None:
        with self._translating(DELETE, remote_path), suppress(FileNotFoundError):
            self._filesystem.rm_file(remote_path)

    def list(self, remote_folder: str) -> Listing:
        with self._translating(LIST, remote_folder):
            return run_on(self._filesystem.loop, self._list(remote_folder))

    async def _list(self, remote_folder: str) -> Listing:
        files: list[RemoteFile] = []
        unread: list[str] = []
        try:
            async for entry in self._filesystem.scan(remote_folder):
                file = _remote_file(entry)
                if file is not None and file.size is None:
                    unread.append(unread_line(file.name, NO_SIZE))
                elif file is not None:
                    files.append(file)
        except asyncssh.SFTPNoSuchFile:
            return Listing(is_missing=True)
        return Listing(files, unread=unread)

    @contextmanager
    def _translating(self, action: Action, remote_path: str) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            raise self._translated(error, action, remote_path) from error

    def _translated(self, error: BaseException, action: Action, remote_path: str) -> StorageError:
        filesystem = self._filesystem
        right, start = action.missing_right(remote_path), f"relative ones start at {filesystem.start}"
        circumstances = Circumstances(user=filesystem.user, right=right, start=start, is_in=True)
        return translated(error, action.described(remote_path, filesystem.where), circumstances)


def _remote_file(entry: dict[str, Any]) -> RemoteFile | None:
    # Some servers do not tell that a file is one.
    if entry["type"] not in {"file", "unknown"}:
        return None
    name = posixpath.basename(entry["name"])
    return RemoteFile(name=name, size=entry["size"], modified=entry["mtime"], is_link=entry.get("islink", False))
