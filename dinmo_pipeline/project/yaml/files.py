"""The files that definitions stand in: which there are, what they are called for people, and whether one has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE_NAMES = ("defs.yaml", "defs.yml", "component.yaml")
"""What Dagster takes for a folder's definitions, in its order."""


@dataclass(frozen=True)
class FileMark:
    """A file's identity, size and time of change: another content has another mark. Zeros stand for no file."""

    path: Path
    changed_ns: int = 0
    size: int = 0
    inode: int = 0


def file_mark(path: Path) -> FileMark:
    """Return the mark of the file as it is now."""
    try:
        found = path.stat()
    except OSError:
        return FileMark(path)
    return FileMark(path, found.st_mtime_ns, found.st_size, found.st_ino)


def relative_name(path: Path, root: Path) -> str:
    """Return `path` as people are told it: relative to the project's folder where it is inside."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def yaml_files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield every YAML file from `folder` down, in the order of names, and whether Dagster takes it for its folder's definitions.

    Hidden folders are left out, as in Dagster.
    """
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    names = [entry.name for entry in entries if entry.name.endswith((".yaml", ".yml"))]
    own = next((name for name in FILE_NAMES if name in names), None)
    for name in names:
        yield folder / name, name == own
    for entry in entries:
        if entry.is_dir() and entry.name != "__pycache__" and not entry.name.startswith("."):
            yield from yaml_files(folder / entry.name)
