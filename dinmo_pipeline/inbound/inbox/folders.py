"""The folders of an inbox, and where a file goes when it was dealt with: never over another."""

from __future__ import annotations

import posixpath
from collections.abc import Set
from pathlib import Path
from typing import Final

from dinmo_pipeline.errors import LimitError, PermanentStorageError, StorageError
from dinmo_pipeline.inbound.inbox.free_names import free_name, reason_path, rejects_path
from dinmo_pipeline.project.inbound_specs import InboxSpec
from dinmo_pipeline.storages.base import Listing, RemoteFile, Storage
from dinmo_pipeline.storages.retrying import Connection
from dinmo_pipeline.storages.temporary import is_temporary_name, temporary_beside

RAW: Final = "raw"
INIT: Final = "init"
IMPORTS: Final = "imports"
REFUSED: Final = f"{IMPORTS}/refused"
ALL: Final = (RAW, INIT, "samples", IMPORTS, "exports")


class Folders:
    """One inbox's folders on its storage. Paths are relative to the inbox's folder."""

    def __init__(self, remote: Connection[Storage], inbox: InboxSpec) -> None:
        self._remote = remote
        self._inbox = inbox
        self._taken: dict[str, set[str]] = {}
        self._reserved: dict[str, set[str]] = {}
        self._listed: dict[str, set[str]] = {}
        self._made: set[str] = set()

    def path(self, relative: str) -> str:
        """Return where that is on the storage."""
        return posixpath.normpath(posixpath.join(self._inbox.folder, relative))

    def make_all(self) -> None:
        """Make the folders that are missing, where the storage has folders at all."""
        for name in ALL:
            self._make_folder(self.path(name))

    def list(self, relative: str) -> Listing:
        """Return the files directly in a folder, and what could not be read of it; none when there is no such folder."""
        files = self._remote.do(lambda storage: storage.list(self.path(relative)))
        if relative in (RAW, INIT):
            self._listed[relative] = {file.name for file in files}
        return files

    def listed_names(self, relative: str) -> Set[str]:
        """Return the names in RAW or INIT when that was listed last, but those that have been moved away since."""
        return self._listed.get(relative, set())

    def list_targets(self, folder: str) -> None:
        """List a target folder once, so that `free_target` needs no request; delete the temporary files of a killed pass there."""
        if folder not in self._taken:
            names = {file.name for file in self.list(folder)}
            # This process holds the inbox's lock, so that only a killed process can have left them.
            for name in filter(is_temporary_name, names):
                self.delete(f"{folder}/{name}")
            self._taken[folder] = names | self._reserved.get(folder, set())

    def free_target(self, folder: str, name: str) -> str:
        """Return a path in `folder` for a file of this name, that nothing lies under and that was not given away before.

        The folder was listed by `list_targets`: who asks may hold what others wait for, and must not wait for a storage.
        """
        return f"{folder}/{free_name(name, self._taken[folder])}"

    def reserve(self, target: str) -> None:
        """Give this path away to a file that was promised it by an earlier pass and is not there yet; before its folder is listed."""
        folder, name = posixpath.split(target)
        self._reserved.setdefault(folder, set()).update({name, *map(posixpath.basename, (rejects_path(name), reason_path(name)))})

    def require_storage(self, error: StorageError) -> None:
        """Raise `error`, which came of one file, where the storage as a whole does not answer, either."""
        try:
            self.list(RAW)
        except StorageError:
            raise error from None

    def fetch(self, relative: str, local_path: Path, size: int | None = None) -> bool:
        """Copy a file to `local_path`, no more than the `size` that it was listed with; False when it is not there any more."""
        path = self.path(relative)

        def read(storage: Storage) -> bool:
            try:
                if size is None:
                    storage.read(path, local_path)
                else:
                    storage.read_listed(path, local_path, size)
            except LimitError:
                raise
            except StorageError as error:
                if _is_gone(storage, path, error):
                    return False
                raise
            return True

        return self._remote.do(read)

    def stat(self, relative: str) -> RemoteFile | None:
        """Return a file as it is now; None when it is not there."""
        return self._remote.do(lambda storage: storage.stat(self.path(relative)))

    def matches(self, relative: str, size: int, sha256: str) -> bool:
        """Return whether this very content lies there."""
        return self._remote.do(lambda storage: storage.matches(self.path(relative), size, sha256))

    def put(self, local_path: Path, relative: str) -> None:
        """Write a file of ours, whole, to a path that `free_target` gave away or that stands beside one."""
        self._make_folder_of(relative)
        self.list_targets(posixpath.dirname(relative))
        path = self.path(relative)
        # Another try writes over what this one leaves.
        temporary = temporary_beside(path)

        def write(storage: Storage) -> None:
            if not storage.moves:
                storage.put(local_path, path)
                return
            # Readers see no part of it.
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
            except StorageError as error:
                # An answer that was lost is no failure of the move.
                if not _is_gone(storage, old, error):
                    raise

        self._remote.do(move)
        self._forget(source)

    def delete(self, relative: str) -> None:
        """Delete a file; fine when it is gone."""
        self._remote.do(lambda storage: storage.delete(self.path(relative)))
        self._forget(relative)

    def _forget(self, relative: str) -> None:
        folder, name = posixpath.split(relative)
        self._listed.get(folder, set()).discard(name)

    def _make_folder_of(self, relative: str) -> None:
        self._make_folder(posixpath.dirname(self.path(relative)))

    def _make_folder(self, folder: str) -> None:
        if folder not in self._made:
            self._remote.do(lambda storage: storage.make_folder(folder))
            self._made.add(folder)


def _is_gone(storage: Storage, path: str, error: StorageError) -> bool:
    """Return whether there is no file after all; `error`, of reading it, is raised where nobody may ask for that, either."""
    try:
        return storage.stat(path) is None
    except PermanentStorageError:
        raise error from None
