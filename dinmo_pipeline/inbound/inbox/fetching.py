"""Copies of an inbox's files on this machine, each as it was listed; one that cannot be copied keeps no other out."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb

from dinmo_pipeline.errors import BusyError, LimitError, PermanentStorageError, StorageError, TransientStorageError
from dinmo_pipeline.inbound.inbox.discovery import Arrival
from dinmo_pipeline.inbound.inbox.folders import Folders
from dinmo_pipeline.inbound.inbox.free_names import shortened
from dinmo_pipeline.inbound.inbox.scan_state import Fingerprint
from dinmo_pipeline.inbound.load.batch import Fetched
from dinmo_pipeline.storages.waiting import forbid_waiting

T = TypeVar("T")

_MOST_NAME_BYTES = 255
_MACHINES_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM}
_WAREHOUSES_FAULTS = (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException, BusyError)


class Fetcher:
    """Copies files. `notes` tell of those that went away or changed meanwhile, `failures` of those that could not be read."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self.notes: list[str] = []
        self.failures: list[tuple[Arrival, Exception]] = []
        self._errors: dict[Arrival, Exception] = {}

    def fetch(self, arrivals: Sequence[Arrival], local_folder: Path) -> Iterator[Fetched]:
        """Yield copies of those files that are still as they were listed when all of them have been copied.

        Raises StorageError where the storage as a whole does not answer, and whatever this machine's disk refuses.
        """
        copies = {arrival: local_folder / local_name(arrival.name) for arrival in arrivals}
        there = {arrival: self._copy(arrival, local_path) for arrival, local_path in copies.items()}
        now = {
            (folder, file.name): Fingerprint.of(file)
            for folder in {a.folder for a in arrivals}
            for file in self._folders.list(folder)
            if not file.is_link
        }
        for arrival, is_there in there.items():
            local_path = copies[arrival]
            error = self._errors.pop(arrival, None)
            is_as_listed = now.get((arrival.folder, arrival.name)) == arrival.sight
            if error is not None and (is_as_listed or not isinstance(error, LimitError)):
                self.failures.append((arrival, error))
                continue
            size = local_path.stat().st_size if is_there else None
            if not is_as_listed:
                self.notes.append(f"{arrival.path} changed or went away while it was read; it is looked at again")
            elif size != arrival.sight.size:
                self.failures.append((arrival, _unlike_listed(arrival, size)))
            else:
                with local_path.open("rb") as stream:
                    yield Fetched(arrival, local_path, hashlib.file_digest(stream, "sha256").hexdigest())

    def _copy(self, arrival: Arrival, local_path: Path) -> bool:
        """Return whether the file was there to be copied; False also when that failed, which is kept."""
        try:
            return ask_of_file(self._folders, lambda: self._folders.fetch(arrival.path, local_path, arrival.sight.size))
        except Exception as error:  # noqa: BLE001 (whatever one file does to its reader is told of that file)
            check_storage(self._folders, error, answered=bool(self._errors))
            self._errors[arrival] = error
            local_path.unlink(missing_ok=True)
            return False


def _unlike_listed(arrival: Arrival, size: int | None) -> PermanentStorageError:
    """Return a file that the listing shows unchanged, and that reading does not find so."""
    found = "there is no such file when it is read" if size is None else f"reading it gives {size:,} bytes"
    return PermanentStorageError(
        f"could not read the file {arrival.path}: the listing shows it with {arrival.sight.size:,} bytes before and after, and {found}; "
        "look at it on the server"
    )


def local_name(name: str) -> str:
    """Return what the copy of a file is called, for messages: its own name, unless this machine's file system has no room for that."""
    return shortened(name, _MOST_NAME_BYTES)


def ask_of_file(folders: Folders, action: Callable[[], T]) -> T:
    """Return what `action` gives, which asks the storage for one file; all others wait meanwhile, so that it is not waited for long.

    A storage that was away altogether is waited for, and the action is tried again when it is back.
    """
    try:
        with forbid_waiting():
            return action()
    except TransientStorageError as error:
        folders.require_storage(error)
    with forbid_waiting():
        return action()


def check_storage(folders: Folders, error: Exception, *, answered: bool) -> None:
    """Raise `error`, which came of one file, where it is of this machine, or where the storage as a whole does not answer.

    `answered`: the storage did after the last failure, so that one which is no matter of time need not ask again.
    """
    if is_of_this_machine(error):
        raise error
    if isinstance(error, TransientStorageError) or (isinstance(error, StorageError) and not answered):
        folders.require_storage(error)


def is_of_this_machine(error: BaseException) -> bool:
    """Return whether another file would have met it, too: a full disk, a warehouse that cannot be opened."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, _WAREHOUSES_FAULTS) or (isinstance(found, OSError) and found.errno in _MACHINES_FAULTS):
            return True
        found = found.__cause__
    return False
