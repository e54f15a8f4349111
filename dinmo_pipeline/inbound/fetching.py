"""Copies of an inbox's files on this machine, each as it was listed; one that cannot be copied keeps no other out."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from dinmo_pipeline.errors import BusyError, StorageError, TransientStorageError
from dinmo_pipeline.inbound.arrivals import Arrival
from dinmo_pipeline.inbound.folders import Folders
from dinmo_pipeline.inbound.loading import Fetched
from dinmo_pipeline.inbound.looks import Sight
from dinmo_pipeline.inbound.names_in_imports import shortened

_MOST_NAME_BYTES = 255
_MACHINES_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM}
_WAREHOUSES_FAULTS = (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException, BusyError)


class Fetcher:
    """Copies files. `notes` tell of those that went away or changed meanwhile, `failures` of those that could not be read."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self.notes: list[str] = []
        self.failures: list[tuple[Arrival, Exception]] = []

    def fetch(self, arrivals: Sequence[Arrival], local_folder: Path) -> Iterator[Fetched]:
        """Copies of those files that are still as they were listed when all of them have been copied.

        Raises StorageError where the storage as a whole does not answer, and whatever this machine's disk refuses.
        """
        copies = list(self._copies(arrivals, local_folder))
        now = {
            (folder, file.name): Sight.of(file)
            for folder in {a.folder for a in arrivals}
            for file in self._folders.list(folder)
            if not file.is_link
        }
        for arrival, local_path in copies:
            if now.get((arrival.folder, arrival.name)) != arrival.sight or local_path.stat().st_size != arrival.sight.size:
                self.notes.append(f"{arrival.path} changed or went away while it was read; it is looked at again")
                continue
            with local_path.open("rb") as stream:
                yield Fetched(arrival, local_path, hashlib.file_digest(stream, "sha256").hexdigest())

    def _copies(self, arrivals: Sequence[Arrival], local_folder: Path) -> Iterator[tuple[Arrival, Path]]:
        for arrival in arrivals:
            local_path = local_folder / local_name(arrival.name)
            try:
                there = self._folders.fetch(arrival.path, local_path)
            except Exception as error:  # noqa: BLE001 (whatever one file does to its reader is told of that file)
                check_storage(self._folders, error, answered=bool(self.failures))
                self.failures.append((arrival, error))
                local_path.unlink(missing_ok=True)
                continue
            if there:
                yield arrival, local_path
            else:
                self.notes.append(f"{arrival.path} went away before it was read")


def local_name(name: str) -> str:
    """What the copy of a file is called, for messages: its own name, unless this machine's file system has no room for that."""
    return shortened(name, _MOST_NAME_BYTES)


def check_storage(folders: Folders, error: Exception, *, answered: bool) -> None:
    """Raise `error`, which came of one file, where it is of this machine, or where the storage as a whole does not answer.

    `answered`: the storage did after the last failure, so that one which is no matter of time need not ask again.
    """
    if is_of_this_machine(error):
        raise error
    if isinstance(error, TransientStorageError) or (isinstance(error, StorageError) and not answered):
        folders.require_storage(error)


def is_of_this_machine(error: BaseException) -> bool:
    """Whether another file would have met it, too: a full disk, a warehouse that cannot be opened."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, _WAREHOUSES_FAULTS) or (isinstance(found, OSError) and found.errno in _MACHINES_FAULTS):
            return True
        found = found.__cause__
    return False
