"""The folders of an inbox, and where a file goes when it was dealt with: never over another."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Final

from dinmo_pipeline.errors import StorageError
from dinmo_pipeline.project.specs import InboxSpec
from dinmo_pipeline.storages.connection import Connection
from dinmo_pipeline.storages.contract import Listing, RemoteFile, Storage

RAW: Final = "raw"
INIT: Final = "init"
IMPORTS: Final = "imports"
REFUSED: Final = f"{IMPORTS}/refused"
ALL: Final = (RAW, INIT, "samples", IMPORTS, "exports")
REJECTS_ENDING, REASON_ENDING = ".rejects.csv", ".reason.txt"


class Folders:
    """One inbox's folders on its storage. Paths are relative to the inbox's folder."""

    def __init__(self, remote: Connection[Storage], inbox: InboxSpec) -> None:
        self._remote = remote
        self._inbox = inbox
        self._taken: dict[str, set[str]] = {}
        self._made: set[str] = set()

    def path(self, relative: str) -> str:
        """Where that is on the storage."""
        return posixpath.normpath(posixpath.join(self._inbox.folder, relative))

    def make_all(self) -> None:
        """Make the folders that are missing, where the storage has folders at all."""
        for name in ALL:
            self._make_folder(self.path(name))

    def list(self, relative: str) -> Listing:
        """The files directly in a folder, and what could not be read of it; none when there is no such folder."""
        return self._remote.do(lambda storage: storage.list(self.path(relative)))

    def free_target(self, folder: str, name: str) -> str:
        """A path in `folder` for a file of this name, that nothing lies under and that was not given away before."""
        if folder not in self._taken:
            self._taken[folder] = {file.name for file in self.list(folder)}
        taken, number, free = self._taken[folder], 1, name
        while free in taken:
            number += 1
            free = _numbered(name, number)
        taken.add(free)
        return f"{folder}/{free}"

    def fetch(self, relative: str, local_path: Path) -> bool:
        """Copy a file to `local_path`; False when it is not there any more."""

        def read(storage: Storage) -> bool:
            try:
                storage.read(self.path(relative), local_path)
            except StorageError:
                if storage.stat(self.path(relative)) is None:
                    return False
                raise
            return True

        return self._remote.do(read)

    def stat(self, relative: str) -> RemoteFile | None:
        """A file as it is now; None when it is not there."""
        return self._remote.do(lambda storage: storage.stat(self.path(relative)))

    def matches(self, relative: str, size: int, sha256: str) -> bool:
        """Whether this very content lies there."""
        return self._remote.do(lambda storage: storage.matches(self.path(relative), size, sha256))

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
        old, new = self.path(source), self.path(target)
        if self.stat(source) is None:
            return
        self._make_folder_of(target)

        def move(storage: Storage) -> None:
            try:
                if storage.moves:
                    storage.move(old, new)
                else:
                    storage.put(local_path, new)
                    storage.delete(old)
            except StorageError:
                # An answer that was lost is no failure of the move.
                if storage.stat(old) is not None:
                    raise

        self._remote.do(move)

    def delete(self, relative: str) -> None:
        """Delete a file; fine when it is gone."""
        self._remote.do(lambda storage: storage.delete(self.path(relative)))

    def _make_folder_of(self, relative: str) -> None:
        self._make_folder(posixpath.dirname(self.path(relative)))

    def _make_folder(self, folder: str) -> None:
        if folder not in self._made:
            self._remote.do(lambda storage: storage.make_folder(folder))
            self._made.add(folder)


def _numbered(name: str, number: int) -> str:
    stem, dot, endings = name.partition(".")
    return f"{stem}_{number}{dot}{endings}"
