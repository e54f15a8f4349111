"""What was seen in an inbox at earlier looks: whether a file stands still, which were taken, and which strangers were told of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from dinmo_pipeline.storages.contract import RemoteFile

_LONG_AGO = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Sight:
    """A file as the storage listed it: its size in bytes and when it was changed, where that is told."""

    size: int
    modified: datetime | None

    @classmethod
    def of(cls, file: RemoteFile) -> Self:
        """What was seen of a listed file."""
        assert file.size is not None, "a listing tells of a file without a size in another way"
        return cls(file.size, file.modified)

    def plain(self) -> list[int | str | None]:
        """The sight as JSON keeps it."""
        return [self.size, None if self.modified is None else self.modified.isoformat()]


class Looks:
    """The memory of one inbox, a JSON file; losing it costs a file one more look, never its rows. Paths are relative to the inbox.

    `taking`: whether files are being taken, or were when a process ended before its time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = _read(path)
        self._standing: dict[str, list[object]] = kept.get("standing", {})
        self._taken: dict[str, list[object]] = kept.get("taken", {})
        self._told: list[str] = kept.get("told", [])
        self._told_with: list[str] = kept.get("told_with", [])
        self.taking: bool = kept.get("taking", False)
        self._saved = self._all() if kept else None

    def settled(self, files: Mapping[str, Sight], *, now: datetime, after: timedelta) -> set[str]:
        """Those of `files` that have looked the same for `after`; all others are looked at again. Forgets what is no longer there."""
        standing: dict[str, list[object]] = {}
        for path, sight in files.items():
            before, plain = self._standing.get(path), sight.plain()
            since = before[2] if before is not None and before[:2] == plain else now.isoformat()
            standing[path] = [*plain, since]
        self._standing = standing
        return {path for path, (_, _, since) in standing.items() if now - datetime.fromisoformat(str(since)) >= after}

    def was_taken(self, path: str, sight: Sight) -> bool:
        """Whether exactly this file was dealt with, and is meant to stay where it is."""
        return path in self._taken and self._taken[path] == sight.plain()

    def take(self, path: str, sight: Sight) -> None:
        """Remember that the file was dealt with and stays."""
        self._taken[path] = list(sight.plain())

    def forget(self, path: str) -> None:
        """Have the file dealt with again; it stood still when it was taken, and need not do so once more."""
        if (sight := self._taken.pop(path, None)) is not None:
            self._standing = {**self._standing, path: [*sight, _LONG_AGO]}

    def untold(self, strangers: Iterable[str], *, feeds: list[str]) -> list[str]:
        """Those files that fit nowhere that nobody was told of while there were these feeds; they count as told from now on."""
        known = set(self._told) if self._told_with == feeds else set()
        self._told, self._told_with = list(strangers), feeds
        return [path for path in self._told if path not in known]

    def keep_only(self, paths: Iterable[str]) -> None:
        """Forget what was taken and is no longer there."""
        there = set(paths)
        self._taken = {path: sight for path, sight in self._taken.items() if path in there}

    def save(self) -> None:
        """Write it, in one step, where there is anything new: a crowded inbox is looked at far more often than it changes."""
        now = self._all()
        if now == self._saved:
            return
        draft = self._path.with_name(self._path.name + ".draft")
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(now, stream)
        draft.replace(self._path)
        self._saved = now

    def _all(self) -> dict[str, Any]:
        told = {"told": self._told, "told_with": self._told_with}
        return {"standing": self._standing, "taken": dict(self._taken), **told, "taking": self.taking}


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
