"""A disk that is full after a few bytes, and one with room that its user may not have."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dinmo_pipeline_tests.servers.running import Login, missing, need_program, need_root

_IMAGE_BYTES = 128 * 1024 * 1024


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


@contextmanager
def small_quota(folder: Path, *, megabytes: int) -> Iterator[Path]:
    """A new folder on a disk with much room, of which nobody may use more than so much."""
    need_root("mounting a disk with a quota")
    make, tool = (need_program(name, package="btrfs-progs") for name in ("mkfs.btrfs", "btrfs"))
    image = folder.with_name(f"{folder.name}.image")
    with image.open("wb") as stream:
        stream.truncate(_IMAGE_BYTES)
    folder.mkdir()
    subprocess.run([make, "--quiet", str(image)], check=True, capture_output=True)
    try:
        if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], capture_output=True, check=False).returncode != 0:
            # Also where CI is set: no step of ours can give a machine another kernel.
            pytest.skip("this kernel mounts no btrfs, whose quotas need nothing of the system around them")
        try:
            owned = folder / "owned"
            for command in (["quota", "enable", folder], ["subvolume", "create", owned], ["qgroup", "limit", f"{megabytes}M", owned]):
                subprocess.run([tool, *map(str, command)], check=True, capture_output=True)
            yield owned
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
    finally:
        folder.rmdir()
        image.unlink()
