"""Folders and files below one folder of this machine, reached step by step without following a link, whoever else writes there.

A folder is opened once, and what is done in it is done through its descriptor: nobody can put another one in its place meanwhile.
"""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.storages.rights import delivery_umask

# To be searched and not read, where the system can do that: a partner's drop folder may let nobody list it.
_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.EBADF, errno.EISDIR, errno.EROFS, errno.ENOTTY}
_BLOCK_BYTES = 1024 * 1024


class LocalTree:
    """All that lies below `root`. Its methods raise OSError, and PermanentStorageError for a path that leads out of it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, remote_path: str) -> Path:
        """Return where it lies, for people."""
        return self._root / remote_path

    def make_folder(self, remote_folder: str) -> None:
        """Make the folder and its parents, with the rights of any new folder of this user; those that are there stay as they are."""
        steps = self._steps(remote_folder)
        missing = [folder for folder in (self._root, *self._root.parents) if not folder.exists()]
        self._root.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            folder.chmod(0o777 & ~delivery_umask())
        with self._opened(steps, make=True):
            pass

    @contextmanager
    def folder_of(self, remote_path: str) -> Iterator[tuple[int, str]]:
        """Yield the open folder that a file lies in, and the file's name there."""
        *folders, name = self._steps(remote_path) or [""]
        if not name:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self._root))
        with self._opened(folders) as folder:
            yield folder, name

    @contextmanager
    def folder(self, remote_folder: str) -> Iterator[int]:
        """Yield the open folder itself, to be listed."""
        with self._opened(self._steps(remote_folder)) as folder:
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _steps(self, remote_path: str) -> list[str]:
        normal = posixpath.normpath(remote_path)
        steps = [step for step in normal.split("/") if step not in ("", ".")]
        if normal.startswith("/") or ".." in steps or "\0" in normal:
            raise PermanentStorageError(
                f"{remote_path!r} is no path below {self._root}: it leaves the storage's path, so nothing was done there; correct it"
            )
        return steps

    @contextmanager
    def _opened(self, steps: Sequence[str], *, make: bool = False) -> Iterator[int]:
        folder = os.open(self._root, _FOLDER)
        try:
            for index, step in enumerate(steps):
                inner = self._step_into(folder, step, self._root.joinpath(*steps[: index + 1]), make=make)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)

    def _step_into(self, folder: int, step: str, path: Path, *, make: bool) -> int:
        made = False
        if make:
            with suppress(FileExistsError):
                os.mkdir(step, dir_fd=folder)
                made = True
        try:
            inner = os.open(step, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(step, folder):
                raise PermanentStorageError(
                    f"{path} is a symbolic link, and none is followed below {self._root}: whoever writes there could lead it anywhere. Put "
                    "a folder in its place, or mount there what it leads to"
                ) from error
            raise
        if made:
            with suppress(OSError):
                _set_rights_of_new_folder(inner)
        return inner


def write_new(source: BinaryIO, local_path: Path, name: str, folder: int) -> None:
    """Make the file `name` in the open folder, in the place of whatever has that name, of the bytes of `source`, open at `local_path`.

    It has the rights that any new file of this user has, and is on disk when this returns, as far as the file system lets it be.
    """
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    rights = 0o666 & ~delivery_umask()
    if _linked(source, local_path, name, folder, rights):
        sync_where_possible(source.fileno())
        return
    # It must be new: a link of this name, which somebody made since, would be followed.
    descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
        target.flush()
        # A mounted share has rights of its own and may refuse to set others: the file is there all the same.
        with suppress(OSError):
            os.fchmod(descriptor, rights)
        sync_where_possible(descriptor)


def _linked(source: BinaryIO, local_path: Path, name: str, folder: int, rights: int) -> bool:
    """Return whether `name` became a link to the staged file, which costs no second copy; no such name is left where not."""
    try:
        os.link(local_path, name, dst_dir_fd=folder)
    except OSError:
        return False
    try:
        # By its descriptor: the name may lead to somebody else's file by now.
        os.fchmod(source.fileno(), rights)
    except OSError:
        os.unlink(name, dir_fd=folder)
        return False
    return True


def sync_folder(folder: int) -> None:
    """Have the names in an open folder on disk, as `sync_where_possible` does."""
    try:
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        return
    try:
        sync_where_possible(descriptor)
    finally:
        os.close(descriptor)


def sync_where_possible(descriptor: int) -> None:
    """Have an open file's bytes, or the names in an open folder, on disk. OSError where that fails, but not where it cannot be asked."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Not every mounted share does that, for folders above all; what fails to be written is another matter.
        if error.errno not in _NO_SYNC:
            raise


def move_file(name: str, folder: int, target: str, target_folder: int) -> None:
    """Give a file of one open folder another name, in another one or the same, over whatever has it."""
    if _is_same(name, folder, target, target_folder):
        # rename(2) does nothing between two names of one file, and would leave the first.
        os.unlink(name, dir_fd=folder)
    else:
        os.rename(name, target, src_dir_fd=folder, dst_dir_fd=target_folder)


def open_regular(name: str, folder: int) -> BufferedReader:
    """Return the file `name` of the open folder, to be read. OSError where it is a link, or something that is no file."""
    # Whoever drops files may put a link, or something that is no file, there after they were listed.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    stream = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "it is no regular file", name)
    return stream


def _is_same(name: str, folder: int, target: str, target_folder: int) -> bool:
    try:
        one, other = (os.stat(path, dir_fd=where, follow_symlinks=False) for path, where in ((name, folder), (target, target_folder)))
    except FileNotFoundError:
        return False
    return os.path.samestat(one, other)


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _set_rights_of_new_folder(folder: int) -> None:
    # One that may only be searched through cannot be changed.
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fchmod(descriptor, 0o777 & ~delivery_umask())
    finally:
        os.close(descriptor)
