"""A folder on this machine (or mounted on it): the embedded default destination."""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Literal

from pydantic import Field

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits, read_limits
from dinmo_pipeline.storages.base import Listing, RemoteFile, Storage, StorageSpec
from dinmo_pipeline.storages.intake import LimitBroken, ListingCount, TransferCount, counted_listing
from dinmo_pipeline.storages.local.tree import LocalTree, move_file, open_regular, sync_folder, write_new
from dinmo_pipeline.storages.permissions import LocalFile

# The second row is what mounted servers say that are away.
_TRANSIENT = {errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT, errno.EIO, errno.ENETDOWN, errno.EHOSTDOWN} | {
    *(errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPIPE)
}
_WHAT_TO_DO = {
    errno.EACCES: "the user {user} lacks the right to write there: grant it on the folder, or deliver elsewhere",
    errno.EPERM: "the user {user} lacks the right to write there: grant it on the folder, or deliver elsewhere",
    errno.EROFS: "the file system is mounted read-only: mount it writable, or deliver elsewhere",
    errno.ENOSPC: "the disk is full: free some room and start the sync again; nothing was shown to the reader",
    errno.EDQUOT: "the quota of the user {user} is used up: free some room or raise it, then start the sync again",
    errno.ENOENT: "the folder is missing: make it, or correct the path",
    errno.EEXIST: "a file stands where a folder is needed: move it away, or correct the path",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away, or correct the path",
    errno.EISDIR: "a folder stands where the file belongs: move it away, or choose another file_name",
    errno.ELOOP: "it is a symbolic link, which is not followed: put the file itself there",
    errno.ENAMETOOLONG: "the name is longer than the file system takes: choose a shorter file_name",
}

_BLOCK_BYTES = 1024 * 1024
_MEDDLER = "something else writes there"


class LocalFolderSpec(StorageSpec):
    """A folder on this machine; a relative `path` starts at the project's folder."""

    path: str = Field(min_length=1, description="The folder; a relative one starts at the project's folder.")

    @property
    def address(self) -> str:
        # The path as written: a project that moves with its relative folder still has the same consumer.
        return f"local:{posixpath.normpath(self.path)}"

    def folder_problem(self, folder: str) -> str | None:
        if folder.startswith("/"):
            return f"folder {folder!r} is absolute; in a LocalFolder it starts at the storage's path"
        if posixpath.normpath(folder).split("/")[0] == "..":
            return f"folder {folder!r} leaves the storage's path"
        return None

    def connect(self, project_root: Path) -> LocalFolder:
        return LocalFolder(name=self.name, root=project_root / Path(self.path).expanduser(), limits=read_limits(project_root))


class LocalFolder(Storage):
    """The open folder; moves are `rename(2)`, so a reader sees the old file or the new one and nothing between."""

    moves: Literal[True] = True

    def __init__(self, *, name: str, root: Path, limits: IntakeLimits = DEFAULT_LIMITS) -> None:
        self._name = name
        self._tree = LocalTree(root)
        self._limits = limits

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def make_folder(self, remote_folder: str) -> None:
        with self._translating("make the folder", remote_folder):
            self._tree.make_folder(remote_folder)

    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        with (
            LocalFile(local_path, "rb") as source,
            self._translating("write the file", remote_path),
            self._tree.folder_of(remote_path) as (folder, name),
        ):
            try:
                write_new(source.stream, local_path, name, folder)
            except FileExistsError as error:
                raise TransientStorageError(f"could not write the file {self._tree.path(remote_path)}: {_MEDDLER}") from error
            found = _remote_file(name, os.stat(name, dir_fd=folder, follow_symlinks=False))
            if found is None or found.size != source.size:
                shown = "no file" if found is None else f"{found.size:,} bytes"
                raise TransientStorageError(
                    f"wrote {source.size:,} bytes to {self._tree.path(remote_path)} (storage {self._name}), then found {shown}; {_MEDDLER}"
                )

    def read(self, remote_path: str, local_path: Path) -> None:
        self._read(remote_path, local_path, None)

    def read_listed(self, remote_path: str, local_path: Path, size: int) -> None:
        self._read(remote_path, local_path, size)

    def _read(self, remote_path: str, local_path: Path, listed_size: int | None) -> None:
        with (
            self._translating("read the file", remote_path),
            self._opened(remote_path) as source,
            local_path.open("wb") as target,
        ):
            # Who writes there may make a file of any size that takes no room, or let it grow faster than it is read.
            count = TransferCount(target.fileno(), self._limits, listed=listed_size)
            count.expect(os.fstat(source.fileno()).st_size)
            while block := source.read(_BLOCK_BYTES):
                count.add(len(block))
                target.write(block)

    def stat(self, remote_path: str) -> RemoteFile | None:
        with self._translating("look at the file", remote_path):
            try:
                with self._tree.folder_of(remote_path) as (folder, name):
                    return _remote_file(name, os.stat(name, dir_fd=folder, follow_symlinks=False))
            except (FileNotFoundError, IsADirectoryError):
                return None

    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        if not self.may_be(remote_path, size):
            return False
        with self._translating("read the file", remote_path), self._opened(remote_path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256

    def move(self, remote_path: str, target_path: str) -> None:
        with (
            self._translating("move the file into place", target_path),
            self._tree.folder_of(remote_path) as (folder, name),
            self._tree.folder_of(target_path) as (target_folder, target),
        ):
            move_file(name, folder, target, target_folder)
            sync_folder(target_folder)

    def delete(self, remote_path: str) -> None:
        with (
            self._translating("delete the file", remote_path),
            suppress(FileNotFoundError),
            self._tree.folder_of(remote_path) as (folder, name),
        ):
            os.unlink(name, dir_fd=folder)

    def list(self, remote_folder: str) -> Listing:
        with self._translating("list the folder", remote_folder):
            try:
                with self._tree.folder(remote_folder) as folder, os.scandir(folder) as entries:
                    return counted_listing(map(_entry_file, entries), ListingCount(self._limits))
            except FileNotFoundError:
                return Listing(is_missing=True)

    @contextmanager
    def _opened(self, remote_path: str) -> Iterator[BufferedReader]:
        with self._tree.folder_of(remote_path) as (folder, name), open_regular(name, folder) as stream:
            yield stream

    @contextmanager
    def _translating(self, action: str, remote_path: str) -> Iterator[None]:
        what = f"could not {action} {self._tree.path(remote_path)} (storage {self._name})"
        try:
            yield
        except LimitBroken as error:
            raise error.error(what) from None
        except OSError as error:
            raise _translated(error, what) from error


def _entry_file(entry: os.DirEntry[str]) -> RemoteFile | None:
    try:
        return _remote_file(entry.name, entry.stat(), is_link=entry.is_symlink())
    except FileNotFoundError:
        # Somebody has taken it away since, or it is a link that leads nowhere.
        return None


def _remote_file(name: str, status: os.stat_result, *, is_link: bool = False) -> RemoteFile | None:
    if not stat.S_ISREG(status.st_mode):
        return None
    return RemoteFile(name=name, size=status.st_size, modified=datetime.fromtimestamp(status.st_mtime, tz=UTC), is_link=is_link)


def _translated(error: OSError, what: str) -> StorageError:
    if error.errno in _TRANSIENT:
        return TransientStorageError(f"{what}: {error.strerror}")
    advice = _WHAT_TO_DO.get(error.errno or 0, "see the cause, mend it, and start the sync again").format(user=_user())
    return PermanentStorageError(f"{what}: {error.strerror}; {advice}")


def _user() -> str:
    return os.environ.get("USER") or f"with uid {os.getuid()}"
