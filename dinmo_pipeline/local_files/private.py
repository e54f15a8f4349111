"""Make folders of our own on this machine, for their owner alone: they hold customers' rows."""

from __future__ import annotations

from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make `folder` and its parents, for the owner alone; those that are there stay as they are. OSError where that cannot be."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
