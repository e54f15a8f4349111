"""Logs in a folder of this machine: `activations/<name>/log/00000001.json` and on, the snapshots beside it, the lock in `lock`."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dinmo_pipeline.delta.export import Snapshot
from dinmo_pipeline.delta.snapshot_store import snapshots_folder
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.local_files.contents import read_file, sha256_of, sync_to_disk
from dinmo_pipeline.local_files.locks import locked
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.sync.ledger.ledger import StoredEntry

_WAY_OUT = "no delta can be made from it. Restore it from a backup, or send every row with `dinmo sync --full`"
# The largest ones list a file for each part of a delivery.
_MOST_ENTRY_BYTES = 256 * 1024 * 1024
# What os.link says where the file system has no hard links.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalBackend:
    """Logs as files below a folder of this machine."""

    def __init__(self, state_folder: Path) -> None:
        self._state_folder = state_folder

    def read(self, activation: str, folder: str, *, newest: int | None = None) -> Sequence[StoredEntry]:
        place = self._folder(activation) / folder
        with _state_errors(f"reading the log of activation {activation}"):
            names = sorted(path.name for path in place.glob("*.json"))
            kept = names if newest is None else names[-newest:]
            return [StoredEntry(f"{folder}/{name}", str(place / name), read_file(place / name, _MOST_ENTRY_BYTES)) for name in kept]

    def create(self, activation: str, path: str, text: bytes) -> bool:
        try:
            with _state_errors(f"writing the log of activation {activation}"):
                create_exclusively(self._folder(activation) / path, text, drafts=self._folder(activation))
        except FileExistsError:
            return False
        return True

    def has(self, activation: str, path: str) -> bool:
        with _state_errors(f"reading the log of activation {activation}"):
            return (self._folder(activation) / path).exists()

    @contextmanager
    def locked(self, activation: str, wait_s: float) -> Iterator[None]:
        with ExitStack() as held:
            with _state_errors(f"taking the lock of activation {activation}"):
                make_private_folder(self._folder(activation))
                held.enter_context(locked(self._folder(activation) / "lock", what=_lock_name(activation), wait_s=wait_s))
            with _state_errors(f"tidying the log of activation {activation}"):
                # Nobody else writes while the lock is held, so a draft is what a killed process left.
                for draft in self._folder(activation).glob(".*.draft"):
                    draft.unlink(missing_ok=True)
            yield

    def has_marker(self, name: str) -> bool:
        with _state_errors(f"looking for the state in {self._state_folder}"):
            return (self._state_folder / name).exists()

    def make_marker(self, name: str, text: bytes) -> None:
        path = self._state_folder / name
        with _state_errors(f"beginning the state in {self._state_folder}"), suppress(FileExistsError):
            create_exclusively(path, text, drafts=path.parent)

    def _folder(self, activation: str) -> Path:
        return self._state_folder / "activations" / activation


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


def _lock_name(activation: str) -> str:
    name, _, part = activation.partition("/")
    return f"activation {name}" + (f", its lock {part!r}," if part else "")


def create_exclusively(path: Path, content: bytes, *, drafts: Path) -> None:
    """Make the file with all its content in one step, on disk when this returns; FileExistsError when it is there already.

    A killed process leaves its draft in the folder `drafts`.
    """
    make_private_folder(path.parent)
    draft = drafts / f".{secrets.token_hex(8)}.draft"
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync_to_disk(path.parent)


class LocalSnapshots:
    """Snapshots as files below a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def local_path(self, path: str) -> Path:
        return self._folder / path

    def place(self, path: str) -> str:
        return str(self._folder / path)

    def keep(self, path: str) -> None:
        """Do nothing: the file is there already."""

    def verify(self, snapshot: Snapshot) -> None:
        path = self._folder / snapshot.path
        try:
            found = sha256_of(path)
        except OSError as error:
            raise StateError(f"reading the snapshot {path}: {error.strerror}; {_WAY_OUT}") from error
        if found != snapshot.sha256:
            raise StateError(f"reading the snapshot {path}: its content is not what was recorded (SHA-256 {found[:12]}…); {_WAY_OUT}")

    def kept(self, activation: str) -> Sequence[str]:
        folder = snapshots_folder(activation)
        return [f"{folder}/{path.name}" for path in sorted((self._folder / folder).glob("*"))]

    def activations(self) -> Sequence[str]:
        return sorted(path.parent.name for path in (self._folder / "activations").glob("*/snapshots"))

    def forget(self, paths: Iterable[str]) -> None:
        for path in paths:
            try:
                (self._folder / path).unlink(missing_ok=True)
            except OSError as error:
                raise StateError(f"deleting the old snapshot {self._folder / path}: {error.strerror}; mend the folder's rights") from error
