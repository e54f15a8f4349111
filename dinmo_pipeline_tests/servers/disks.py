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
    need_root("mounting a small disk")
    mount_point: Path = account.home / name
    mount_point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(mount_point)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        mount_point.rmdir()
        missing(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.chown(mount_point, account.username)
        yield name
    finally:
        subprocess.run(["umount", "--lazy", str(mount_point)], check=True, capture_output=True)
        mount_point.rmdir()
