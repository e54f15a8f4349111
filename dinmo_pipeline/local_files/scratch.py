"""Local files of our own: made for the owner alone, gone when their writing fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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
