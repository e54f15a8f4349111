"""The folders of an inbox, and where a file goes when it was dealt with: never over another."""

from __future__ import annotations

import posixpath
from datetime import date
from pathlib import Path
from typing import Final

from dinmo_pipeline.project.specs import InboxSpec
from dinmo_pipeline.storages.contract import Storage
from dinmo_pipeline.storages.retried import RetriedStorage

RAW: Final = "raw"
INIT: Final = "init"
IMPORTS: Final = "imports"
REFUSED: Final = f"{IMPORTS}/refused"
ALL: Final = (RAW, INIT, "samples", IMPORTS, "exports")
REJECTS_ENDING, REASON_ENDING = ".rejects.csv", ".reason.txt"


class Folders:
    """One inbox's folders on its storage. Paths are relative to the inbox's folder."""

    def __init__(self, remote: RetriedStorage, inbox: InboxSpec) -> None:
        self._remote = remote
        self._inbox = inbox
        self._taken: dict[str, set[str]] = {}
        self._made: set[str] = set()

    def path(self, relative: str) -> str:
        """Where that is on the storage."""
        return posixpath.normpath(posixpath.join(self._inbox.folder, relative))

    def free_target(self, name: str, *, refused: bool, today: date) -> str:
        """Where a file of this name goes: a path in `imports/` that nothing lies under and that was not given away before."""
        folder = REFUSED if refused else f"{IMPORTS}/{today.isoformat()}"
        if folder not in self._taken:
            listed = self._remote.do(lambda storage: storage.list(self.path(folder)))
            self._taken[folder] = {file.name for file in listed}
        taken, number, free = self._taken[folder], 1, name
        while free in taken:
            number += 1
            free = _numbered(name, number)
        taken.add(free)
        return f"{folder}/{free}"

    def put(self, local_path: Path, relative: str) -> None:
        """Write a file of ours, whole, to a path that `free_target` gave away or that stands beside one."""
        self._make_folder_of(relative)
        path = self.path(relative)

        def write(storage: Storage) -> None:
            if not storage.moves:
                storage.put(local_path, path)
                return
            # Who reads there sees no part of it.
            temporary = posixpath.join(posixpath.dirname(path), f".{posixpath.basename(path)}.part")
            storage.put(local_path, temporary)
            storage.move(temporary, path)

        self._remote.do(write)

    def relocate(self, source: str, target: str, local_path: Path) -> None:
        """Move a file to its target; `local_path` has its bytes, for storages that cannot move. Fine when that was done before."""
        self._make_folder_of(target)
        old, new = self.path(source), self.path(target)

        def move(storage: Storage) -> None:
            if storage.stat(old) is None:
                return
            if storage.moves:
                storage.move(old, new)
            else:
                storage.put(local_path, new)
                storage.delete(old)

        self._remote.do(move)

    def delete(self, relative: str) -> None:
        """Delete a file; fine when it is gone."""
        self._remote.do(lambda storage: storage.delete(self.path(relative)))

    def _make_folder_of(self, relative: str) -> None:
        folder = posixpath.dirname(self.path(relative))
        if folder not in self._made:
            self._remote.do(lambda storage: storage.make_folder(folder))
            self._made.add(folder)


def _numbered(name: str, number: int) -> str:
    stem, dot, endings = name.partition(".")
    return f"{stem}_{number}{dot}{endings}"
