"""A disk that is full after a few bytes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dinmo_pipeline_tests.servers.running import Login, missing, need_root


@contextmanager
def small_disk(account: Login, name: str, *, megabytes: int) -> Iterator[str]:
    """A folder of the account's that holds so much and no more; its name in the login directory."""
    with small_folder(account.home / name, megabytes=megabytes) as folder:
        shutil.chown(folder, account.username)
        yield name


@contextmanager
def small_folder(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A new folder on a disk of its own that holds so much and no more."""
    need_root("mounting a small disk")
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        folder.rmdir()
        missing(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
        folder.rmdir()
