"""An activation's log: numbered immutable entries, each created exclusively, so that of two writers at one position one loses and knows it.

Below the state's folder: `activations/<name>/log/00000001.json`, the snapshots beside it in `snapshots/`, the lock in `lock`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dinmo_pipeline.errors import BusyError, StateError, SyncRefused
from dinmo_pipeline.project.specs import now_utc
from dinmo_pipeline.sync.entries import Entry, HandedOver, Record, Renamed, from_json, to_json
from dinmo_pipeline.sync.state import State, fold
from dinmo_pipeline.warehouse.folders import make_private_folder

# What os.link says where the file system has no hard links.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_LOCK_PAUSE_S = 0.1
LOCK_WAIT_S = 3600.0


@dataclass(frozen=True)
class Page:
    """The text of one entry, and where it was read from."""

    where: str
    text: bytes


class Shelf(Protocol):
    """Where the logs of all activations lie. Every method raises StateError, and BusyError from `locked`, and nothing else.

    Where the lock can be lost while it is held, `create` and `has` raise SyncRefused from then on.
    """

    def read(self, activation: str) -> Sequence[Page]:
        """The entries in order; none when nothing was ever written. StateError when one is missing."""

    def create(self, activation: str, position: int, text: bytes) -> bool:
        """Write the entry at `position` (from 1), whole and durable when this returns; False when there is one already."""

    def has(self, activation: str, position: int) -> bool:
        """Whether there is an entry at `position`."""

    def locked(self, activation: str, wait_s: float) -> AbstractContextManager[None]:
        """Hold the activation for this process; a killed holder's lock is free at once. BusyError after `wait_s` seconds."""


class Log:
    """The log of one activation. Appending is safe against every other process; the lock only spares them the work of losing.

    A log without a past that is `renamed_from` another one has that one's; the first entry that it appends makes this lasting.
    """

    def __init__(self, shelf: Shelf, activation: str, *, renamed_from: str | None = None, clock: Callable[[], datetime] = now_utc) -> None:
        self.activation = activation
        self._shelf = shelf
        self._renamed_from = renamed_from
        self._clock = clock
        self._known: list[Record] = []
        self._position = 0
        self._past: Renamed | None = None

    def read(self) -> State:
        """The state now; later appends and `check_unchanged` refer to this moment. StateError for a damaged or missing entry."""
        own = self._own_records()
        self._position = len(own)
        self._known, self._past = self._history(own), None
        if not self._known and self._renamed_from is not None:
            self._known, self._past = self._find_past(self._renamed_from)
        return fold(self._known)

    def append(self, entry: Entry) -> State:
        """Write `entry` as the next one, on disk when this returns; the new state.

        SyncRefused when another process wrote since `read`; StateError when it cannot be written.
        """
        if self._past is not None:
            self._take_over(self._past)
        self._known.append(self._write(entry))
        return fold(self._known)

    def check_unchanged(self) -> None:
        """SyncRefused when another process has written since `read`: whoever wants to show something to a consumer asks first."""
        if self._shelf.has(self.activation, self._position + 1):
            raise SyncRefused(self._overtaken())

    def locked(self, *, wait_s: float = LOCK_WAIT_S) -> AbstractContextManager[None]:
        """Hold the activation for this process. BusyError when another has had it for `wait_s` seconds."""
        return self._shelf.locked(self.activation, wait_s)

    def _own_records(self) -> list[Record]:
        return [from_json(page.text, where=page.where) for page in self._shelf.read(self.activation)]

    def _history(self, records: Sequence[Record]) -> list[Record]:
        """What these entries say happened, with what happened under earlier names."""
        known: list[Record] = []
        for record in records:
            match record.entry:
                case HandedOver():
                    known = []
                case Renamed(name, count):
                    earlier = Log(self._shelf, name, clock=self._clock)
                    before = earlier._own_records()
                    if len(before) < count:
                        raise StateError(
                            f"reading the log of activation {self.activation}: it goes on from {count} entries of {name}, and only "
                            f"{len(before)} are there; restore them from a backup"
                        )
                    known = earlier._history(before[:count])
                case _:
                    known.append(record)
        return known

    def _find_past(self, name: str) -> tuple[list[Record], Renamed | None]:
        """What happened under the earlier name, if anything did and no other activation has gone on from it."""
        earlier = Log(self._shelf, name, clock=self._clock)
        records = earlier._own_records()
        if records and isinstance(records[-1].entry, HandedOver):
            if records[-1].entry.name != self.activation:
                return [], None
            records = records[:-1]
        known = earlier._history(records)
        return known, Renamed(name, len(records)) if known else None

    def _take_over(self, past: Renamed) -> None:
        earlier = Log(self._shelf, past.name, clock=self._clock)
        with earlier.locked():
            # The older log is closed first, so that whoever still runs under the old name cannot add to what goes on here.
            later = earlier._own_records()[past.entries :]
            if not later:
                earlier._position = past.entries
                earlier._write(HandedOver(self.activation))
            elif later[-1].entry != HandedOver(self.activation):
                raise SyncRefused(self._overtaken())
        self._write(past)
        self._past = None

    def _write(self, entry: Entry) -> Record:
        record = Record(at=self._clock(), entry=entry)
        if not self._shelf.create(self.activation, self._position + 1, to_json(record)):
            raise SyncRefused(self._overtaken())
        self._position += 1
        return record

    def _overtaken(self) -> str:
        return (
            f"another process went on with activation {self.activation} meanwhile, so this one stops before it shows anything more; "
            "see `dinmo history`, then start the sync again"
        )


class FolderShelf:
    """Logs as files below a folder of this machine."""

    def __init__(self, state_folder: Path) -> None:
        self._state_folder = state_folder

    def read(self, activation: str) -> Sequence[Page]:
        folder = self._folder(activation) / "log"
        with _state_errors(f"reading the log of activation {activation}"):
            names = sorted(path.name for path in folder.glob("[0-9]*.json"))
            check_complete(activation, names, str(folder))
            return [Page(str(folder / name), (folder / name).read_bytes()) for name in names]

    def create(self, activation: str, position: int, text: bytes) -> bool:
        try:
            with _state_errors(f"writing the log of activation {activation}"):
                create_exclusively(self._path(activation, position), text)
        except FileExistsError:
            return False
        return True

    def has(self, activation: str, position: int) -> bool:
        with _state_errors(f"reading the log of activation {activation}"):
            return self._path(activation, position).exists()

    @contextmanager
    def locked(self, activation: str, wait_s: float) -> Iterator[None]:
        with _state_errors(f"taking the lock of activation {activation}"):
            make_private_folder(self._folder(activation))
            descriptor = os.open(self._folder(activation) / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            _acquire(descriptor, wait_s, activation)
            with _state_errors(f"tidying the log of activation {activation}"):
                # Nobody else writes while the lock is held, so a draft is what a killed process left.
                for draft in (self._folder(activation) / "log").glob(".*.draft"):
                    draft.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)

    def has_marker(self, name: str) -> bool:
        with _state_errors(f"looking for the state in {self._state_folder}"):
            return (self._state_folder / name).exists()

    def make_marker(self, name: str, text: bytes) -> None:
        path = self._state_folder / name
        with _state_errors(f"beginning the state in {self._state_folder}"), suppress(FileExistsError):
            create_exclusively(path, text)

    def _folder(self, activation: str) -> Path:
        return self._state_folder / "activations" / activation

    def _path(self, activation: str, position: int) -> Path:
        return self._folder(activation) / "log" / entry_name(position)


@contextmanager
def _state_errors(action: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        advice = "mend that and start again, which goes on from what is recorded"
        if error.filename2 is not None and error.errno in _NO_LINKS:
            advice = "this file system cannot create a file exclusively, so two syncs at once would not see each other: use another one"
        raise StateError(f"{action} ({error.filename}): {error.strerror}; {advice}") from error


def entry_name(position: int) -> str:
    """The file name of the entry at `position`."""
    return f"{position:08d}.json"


def check_complete(activation: str, names: Sequence[str], folder: str) -> None:
    """StateError when the sorted names of a log's entries have a gap."""
    for position, name in enumerate(names, start=1):
        if name != entry_name(position):
            raise StateError(
                f"reading the log of activation {activation}: entry {position} is missing in {folder}, so nobody knows what was "
                "delivered; restore it from a backup, or move the activation's folder away and start again with `dinmo sync --full`"
            )


def _acquire(descriptor: int, wait_s: float, activation: str) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"waiting for activation {activation}: another sync of it has been running for {wait_s:,.0f} s; nothing was begun, "
                    "start this one again later"
                ) from None
            time.sleep(_LOCK_PAUSE_S)


def create_exclusively(path: Path, content: bytes) -> None:
    """Make the file with all its content in one step, on disk when this returns; FileExistsError when it is there already."""
    make_private_folder(path.parent)
    draft = path.with_name(f".{secrets.token_hex(8)}.draft")
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
