"""Where an entry of a log lies: each five hundredth is a checkpoint, which begins a chapter with a folder of its own.

`log/00000001.json` to `log/00000499.json`, `checkpoints/00000500.json`, `log/00000500/00000501.json` and on. So what a sync reads
does not grow with the syncs before it, and nothing is ever deleted: an entry that is there keeps its position from being taken again.
"""

from __future__ import annotations

CHAPTER = 500
CHECKPOINTS = "checkpoints"


def folder_of(chapter: int) -> str:
    """Return the folder of a chapter's entries; chapter 0 comes before the first checkpoint."""
    return f"log/{chapter:08d}" if chapter else "log"


def begins_chapter(position: int) -> bool:
    """Return whether the entry at `position` is a checkpoint."""
    return position % CHAPTER == 0


def chapter_of(position: int) -> int:
    """Return the chapter of the entry at `position`: its checkpoint is in it."""
    return position // CHAPTER * CHAPTER


def path_of(position: int, chapter: int) -> str:
    """Return the path of the entry at `position`, below the activation's folder, where `chapter` is the newest before it."""
    return f"{CHECKPOINTS if begins_chapter(position) else folder_of(chapter)}/{position:08d}.json"


def position_of(path: str) -> int:
    """Return the position of the entry that lies there."""
    return int(path.rpartition("/")[2].removesuffix(".json"))
