"""A folder on this machine (or mounted on it): the embedded default destination."""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal

from pydantic import Field

from dinmo_pipeline.errors import PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.storages.actions import LocalFile
from dinmo_pipeline.storages.blocks import sha256_of
from dinmo_pipeline.storages.contract import Listing, RemoteFile, Storage, StorageSpec, listed

# The second row is what mounted servers say that are away.
_TRANSIENT = {errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT, errno.EIO, errno.ENETDOWN, errno.EHOSTDOWN} | {
    *(errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPIPE)
}
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.EBADF, errno.EISDIR, errno.EROFS, errno.ENOTTY}
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
        return LocalFolder(name=self.name, root=project_root / Path(self.path).expanduser())


class LocalFolder(Storage):
    """The open folder; moves are `rename(2)`, so a reader sees the old file or the new one and nothing between."""

    moves: Literal[True] = True

    def __init__(self, *, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def make_folder(self, remote_folder: str) -> None:
        with self._translating("make the folder", remote_folder):
            self._local(remote_folder).mkdir(parents=True, exist_ok=True)

    def put(self, local_path: Path, remote_path: str, *, sha256: str | None = None) -> None:
        target = self._local(remote_path)
        with LocalFile(local_path, "rb"), self._translating("write the file", remote_path):
            target.unlink(missing_ok=True)
            _link_or_copy(local_path, target)
            _sync_where_possible(target)
        self._verify_size(local_path, remote_path)

    def read(self, remote_path: str, local_path: Path) -> None:
        with self._translating("read the file", remote_path):
            # Whoever drops files may put a link, or something that is no file, there after they were listed.
            descriptor = os.open(self._local(remote_path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as source, local_path.open("wb") as target:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise OSError(errno.EINVAL, "it is no regular file", str(self._local(remote_path)))
                shutil.copyfileobj(source, target)

    def stat(self, remote_path: str) -> RemoteFile | None:
        with self._translating("look at the file", remote_path):
            try:
                return _remote_file(posixpath.basename(remote_path), self._local(remote_path).stat())
            except FileNotFoundError:
                return None

    def matches(self, remote_path: str, size: int, sha256: str) -> bool:
        if not self.may_be(remote_path, size):
            return False
        with self._translating("read the file", remote_path):
            return sha256_of(self._local(remote_path)) == sha256

    def move(self, remote_path: str, target_path: str) -> None:
        source, target = self._local(remote_path), self._local(target_path)
        with self._translating("move the file into place", target_path):
            if source.exists() and target.exists() and source.samefile(target):
                # rename(2) does nothing between two names of one file, and would leave the first.
                source.unlink()
            else:
                source.replace(target)
            _sync_where_possible(target.parent)

    def delete(self, remote_path: str) -> None:
        with self._translating("delete the file", remote_path):
            self._local(remote_path).unlink(missing_ok=True)

    def list(self, remote_folder: str) -> Listing:
        with self._translating("list the folder", remote_folder):
            try:
                entries = os.scandir(self._local(remote_folder))
            except FileNotFoundError:
                return Listing()
            with entries:
                files = (file for entry in entries if (file := _entry_file(entry)) is not None)
                return listed(files, remote_folder, f"storage {self._name}")

    def _verify_size(self, local_path: Path, remote_path: str) -> None:
        expected, found = local_path.stat().st_size, self.stat(remote_path)
        if found is None or found.size != expected:
            shown = "no file" if found is None else f"{found.size:,} bytes"
            raise TransientStorageError(
                f"wrote {expected:,} bytes to {self._local(remote_path)} (storage {self._name}), then found {shown}; "
                "something else writes there"
            )

    def _local(self, remote_path: str) -> Path:
        return self._root / remote_path

    @contextmanager
    def _translating(self, action: str, remote_path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _translated(error, f"could not {action} {self._local(remote_path)} (storage {self._name})") from error


def _link_or_copy(local_path: Path, target: Path) -> None:
    # Staged files are private; a delivered one has the rights that any new file of this user has.
    mode = 0o666 & ~_umask()
    # The staged file stays for another try; a link costs no second copy on the same file system.
    with suppress(OSError):
        os.link(local_path, target)
        target.chmod(mode)
        return
    target.unlink(missing_ok=True)
    shutil.copyfile(local_path, target)
    # A mounted share has rights of its own and may refuse to set others: the file is there all the same, with those of any new one.
    with suppress(OSError):
        target.chmod(mode)


def _sync_where_possible(path: Path) -> None:
    try:
        sync_to_disk(path)
    except OSError as error:
        # Not every mounted share lets a file be opened anew, or a folder at all; what fails to be written is another matter.
        if error.errno not in _NO_SYNC:
            raise


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


def _umask() -> int:
    # The only portable way to read it is to set it; both calls are immediate.
    current = os.umask(0o022)
    os.umask(current)
    return current


def sync_to_disk(path: Path) -> None:
    """Have a file's bytes, or the names in a folder, on disk when this returns. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
