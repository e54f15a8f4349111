"""Local files of our own: made for the owner alone, gone when their writing fails."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def new_file(local_path: Path) -> Iterator[None]:
    """Make an empty file that its owner alone may read (mode 0600), in the place of whatever was there; removed on any error."""
    local_path.unlink(missing_ok=True)
    os.close(os.open(local_path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield
    except BaseException:  # an interrupt, too, must leave no customer's rows behind
        local_path.unlink(missing_ok=True)
        raise


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that its owner alone may enter (mode 0700); gone afterwards. What a killed process left there goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        # Whoever comes next empties what cannot be deleted now.
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_file(local_path: Path, ending: str) -> Iterator[Path]:
    """Yield a path beside `local_path` for a file that is needed while that one is being made; removed afterwards."""
    path = local_path.with_name(f".{local_path.name}.{ending}")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def locked_scratch_folder() -> Iterator[Path]:
    """Yield an empty folder that its owner alone may enter, among the machine's temporary files (`TMPDIR`); gone afterwards.

    It is locked while in use, so that any process of its owner can take away what a killed one left. OSError where none can be made.
    """
    parent = _own_temporary_folder()
    for left in parent.iterdir():
        _remove_unlocked(left)
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not folder.exists():
                # Another process took it for one that was left, in the moment before it was locked.
                continue
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return
        finally:
            os.close(descriptor)


def _own_temporary_folder() -> Path:
    """Return the folder for scratch folders, made where it is missing. PermissionError where it is another user's, or open to others."""
    parent = Path(tempfile.gettempdir()) / f"dinmo-{os.getuid()}"
    with suppress(FileExistsError):
        parent.mkdir(mode=0o700)
    status = parent.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(f"{parent} is no folder of this user alone; remove it, or set TMPDIR to another folder")
    return parent


def _remove_unlocked(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        # Gone since, or no folder of ours.
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
