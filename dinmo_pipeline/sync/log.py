"""An activation's log: numbered immutable files, each created exclusively, so that of two writers at one position one loses and knows it.

Below the state's folder: `activations/<name>/log/00000001.json`, the snapshots beside it in `snapshots/`, the lock in `lock`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dinmo_pipeline.errors import BusyError, StateError, SyncRefused
from dinmo_pipeline.sync.entries import Entry, Record, Renamed, from_json, to_json
from dinmo_pipeline.sync.state import State, fold

_LOCK_PAUSE_S = 0.1
_LOCK_WAIT_S = 3600.0


def now_utc() -> datetime:
    """The clock of log entries."""
    return datetime.now(UTC)


class Log:
    """The log of one activation. Appending is safe against every other process; the lock only spares them the work of losing."""

    def __init__(self, state_folder: Path, activation: str, *, clock: Callable[[], datetime] = now_utc) -> None:
        self.activation = activation
        self._state_folder = state_folder
        self._folder = state_folder / "activations" / activation
        self._clock = clock
        self._known: list[Record] = []
        self._position = 0

    def read(self) -> State:
        """The state now; later appends and `check_unchanged` refer to this moment. StateError for a damaged or missing entry."""
        own = self._own_records()
        self._position = len(own)
        self._known = [*self._inherited(own), *own]
        return fold(self._known)

    def append(self, entry: Entry) -> State:
        """Write `entry` as the next one, on disk when this returns; the new state.

        SyncRefused when another process wrote since `read`; StateError when it cannot be written.
        """
        record = Record(at=self._clock(), entry=entry)
        try:
            create_exclusively(self._path(self._position + 1), to_json(record))
        except FileExistsError:
            raise SyncRefused(self._overtaken()) from None
        except OSError as error:
            raise StateError(
                f"writing the log of activation {self.activation} ({error.filename}): {error.strerror}; mend that and start again, "
                "which goes on from what is recorded"
            ) from error
        self._position += 1
        self._known.append(record)
        return fold(self._known)

    def check_unchanged(self) -> None:
        """SyncRefused when another process has written since `read`: whoever wants to show something to a consumer asks first."""
        if self._path(self._position + 1).exists():
            raise SyncRefused(self._overtaken())

    def is_empty(self) -> bool:
        """Whether nothing was ever written."""
        return not self._path(1).exists()

    def continue_from(self, name: str) -> None:
        """Let a log that is empty go on from that of activation `name`, if that one has any entry."""
        earlier = Log(self._state_folder, name, clock=self._clock)
        count = len(earlier._own_records())
        if count and self.is_empty():
            self.read()
            self.append(Renamed(name, count))

    @contextmanager
    def locked(self, *, wait_s: float = _LOCK_WAIT_S) -> Iterator[None]:
        """Hold the activation for this process; a killed holder's lock is free at once. BusyError after `wait_s` seconds."""
        make_private_folder(self._folder)
        descriptor = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            _acquire(descriptor, wait_s, self.activation)
            yield
        finally:
            os.close(descriptor)

    def _own_records(self) -> list[Record]:
        folder = self._folder / "log"
        names = sorted(path.name for path in folder.glob("[0-9]*.json"))
        for position, name in enumerate(names, start=1):
            if name != self._path(position).name:
                raise StateError(
                    f"reading the log of activation {self.activation}: entry {position} is missing in {folder}, so nobody knows what was "
                    "delivered; restore it from a backup, or move the activation's folder away and start again with `dinmo sync --full`"
                )
        return [from_json((folder / name).read_bytes(), where=str(folder / name)) for name in names]

    def _inherited(self, records: list[Record]) -> list[Record]:
        if not records or not isinstance(records[0].entry, Renamed):
            return []
        renamed = records[0].entry
        earlier = Log(self._state_folder, renamed.name, clock=self._clock)
        before = earlier._own_records()[: renamed.entries]
        return [*earlier._inherited(before), *before]

    def _path(self, position: int) -> Path:
        return self._folder / "log" / f"{position:08d}.json"

    def _overtaken(self) -> str:
        return (
            f"another process went on with activation {self.activation} meanwhile, so this one stops before it shows anything more; "
            "see `dinmo history`, then start the sync again"
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


def make_private_folder(folder: Path) -> None:
    """Make `folder` and its parents, for the owner alone: what lies in them are customers."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


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
