"""State in an object store: entries are objects that are created exclusively, the lock is a lease, snapshots are copied to this machine."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dinmo_pipeline.delta.export import Snapshot
from dinmo_pipeline.delta.snapshot_store import snapshots_folder
from dinmo_pipeline.errors import StateError, StorageError
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.storages.base import RemoteFile
from dinmo_pipeline.storages.object_store.contract import ObjectStorage, Stored
from dinmo_pipeline.storages.retrying import Connection
from dinmo_pipeline.sync.backends.lease import LEASE_S, Lease, leased
from dinmo_pipeline.sync.backends.local import LocalSnapshots
from dinmo_pipeline.sync.ledger.ledger import StoredEntry
from dinmo_pipeline.sync.ledger.segments import CHECKPOINTS
from dinmo_pipeline.sync.ledger.signing import VOUCHERS

Connect = Callable[[], Connection[ObjectStorage]]

_AT_ONCE = 16
# What is read with each chapter.
_KEPT = (CHECKPOINTS, VOUCHERS)


@dataclass(frozen=True)
class _Slot:
    """The object of one activation's lock."""

    connection: Connection[ObjectStorage]
    path: str
    activation: str

    def load(self) -> Stored | None:
        with _state_errors(f"taking the lock of activation {self.activation}"):
            return self.connection.do(lambda storage: storage.load(self.path))

    def write_if(self, content: bytes, version: str | None) -> str | None:
        with _state_errors(f"keeping the lock of activation {self.activation}"):
            return _write_if(self.connection, self.path, content, version)


class ObjectStoreBackend:
    """Logs as objects below a folder of an object store. While it holds a lock, `create` and `has` raise SyncRefused once that is lost."""

    def __init__(self, connection: Connection[ObjectStorage], connect: Connect, folder: str) -> None:
        self._connection = connection
        self._connect = connect
        self._folder = folder
        self._leases: dict[str, Lease] = {}
        self._entries: dict[str, dict[str, dict[RemoteFile, bytes]]] = {}

    def read(self, activation: str, folder: str, *, newest: int | None = None) -> Sequence[StoredEntry]:
        with _state_errors(f"reading the log of activation {activation}"):
            place = self._path(activation, folder)
            found = self._connection.do(lambda storage: storage.list(place))
            files = sorted((file for file in found if file.name.endswith(".json")), key=lambda file: file.name)
            files = files if newest is None else files[-newest:]
            texts = self._load(activation, folder, files)
        return [StoredEntry(f"{folder}/{file.name}", f"{place}/{file.name}", texts[file]) for file in files]

    def create(self, activation: str, path: str, text: bytes) -> bool:
        self._check_lease(activation)
        with _state_errors(f"writing the log of activation {activation}"):
            return _write_if(self._connection, self._path(activation, path), text, None) is not None

    def has(self, activation: str, path: str) -> bool:
        self._check_lease(activation)
        with _state_errors(f"reading the log of activation {activation}"):
            return self._connection.do(lambda storage: storage.exists(self._path(activation, path)))

    @contextmanager
    def locked(self, activation: str, wait_s: float) -> Iterator[None]:
        path = self._path(activation, "lock")
        # Of its own, because a connection serves one thread at a time.
        with closing(self._connect()) as beating:
            slots = _Slot(self._connection, path, activation), _Slot(beating, path, activation)
            with leased(*slots, what=f"working on activation {activation}", wait_s=wait_s, lasts_s=LEASE_S) as lease:
                self._leases[activation] = lease
                try:
                    yield
                finally:
                    del self._leases[activation]

    def has_marker(self, name: str) -> bool:
        path = posixpath.join(self._folder, name)
        # Loaded, not looked at: the answer to a look that is refused does not say why.
        with _state_errors("looking for the state"):
            return self._connection.do(lambda storage: storage.load(path)) is not None

    def make_marker(self, name: str, text: bytes) -> None:
        path = posixpath.join(self._folder, name)
        with _state_errors("beginning the state"):
            _write_if(self._connection, path, text, None)
            if _write_if(self._connection, path, text, None) is not None:
                self._connection.do(lambda storage: storage.delete(path))
                raise StateError(
                    f"beginning the state at {path}: this server writes over an object that it was asked to create, so two syncs at once "
                    "would not notice each other. Keep the state on a server that knows conditional writes"
                )

    def _load(self, activation: str, folder: str, files: Sequence[RemoteFile]) -> Mapping[RemoteFile, bytes]:
        # Entries never change, so one that was read once is not asked for again; those of earlier chapters are let go.
        known, wanted = self._entries.get(activation, {}), set(files)
        texts = {file: text for file, text in known.get(folder, {}).items() if file in wanted}
        if folder not in _KEPT:
            known = {name: known.get(name, {}) for name in _KEPT}
        self._entries[activation] = {**known, folder: texts}

        def load(storage: ObjectStorage, file: RemoteFile) -> None:
            path = self._path(activation, folder, file.name)
            if (found := storage.load(path)) is None:
                raise StateError(f"the entry {path} went away while it was read; see what else deletes there")
            texts[file] = found.content

        def load_missing(storage: ObjectStorage) -> None:
            # Clients of object stores serve many threads at once. All have ended before the connection is made anew after a fault.
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(partial(load, storage), [file for file in files if file not in texts]))

        self._connection.do(load_missing)
        return texts

    def _check_lease(self, activation: str) -> None:
        if activation in self._leases:
            self._leases[activation].check()

    def _path(self, activation: str, *names: str) -> str:
        return posixpath.join(self._folder, "activations", activation, *names)


class ObjectSnapshots:
    """Snapshots as objects; `copies` are those on this machine, made again when they are lost or damaged."""

    def __init__(self, connection: Connection[ObjectStorage], folder: str, place: str, copies: LocalSnapshots) -> None:
        self._connection = connection
        self._folder = folder
        self._place = place
        self._copies = copies

    def local_path(self, path: str) -> Path:
        return self._copies.local_path(path)

    def place(self, path: str) -> str:
        return posixpath.join(self._place, path)

    def keep(self, path: str) -> None:
        # The rows of a rehearsal, which lie outside of the state, stay on this machine.
        if posixpath.isabs(path):
            return
        with _state_errors(f"keeping the snapshot {self.place(path)}"):
            self._connection.do(lambda storage: storage.put(self.local_path(path), self._remote(path)))

    def verify(self, snapshot: Snapshot) -> None:
        try:
            self._copies.verify(snapshot)
        except StateError:
            self._fetch(snapshot.path)
            self._copies.verify(snapshot)

    def kept(self, activation: str) -> Sequence[str]:
        folder = snapshots_folder(activation)
        with _state_errors(f"listing the snapshots in {self.place(folder)}"):
            there = [f"{folder}/{file.name}" for file in self._connection.do(lambda storage: storage.list(self._remote(folder)))]
        # Another machine that deletes one leaves the copy here.
        return sorted({*there, *self._copies.kept(activation)})

    def activations(self) -> Sequence[str]:
        return self._copies.activations()

    def forget(self, paths: Iterable[str]) -> None:
        paths = tuple(paths)
        self._copies.forget(paths)
        with _state_errors("deleting old snapshots"):
            for folder in {posixpath.dirname(path) for path in paths}:
                there = self._connection.do(lambda storage: storage.list(self._remote(folder)))  # noqa: B023 (called at once)
                for file in there:
                    if posixpath.join(folder, file.name) in paths:
                        self._connection.do(lambda storage: storage.delete(self._remote(f"{folder}/{file.name}")))  # noqa: B023

    def _fetch(self, path: str) -> None:
        target = self.local_path(path)
        draft = target.with_suffix(".fetched")
        with _state_errors(f"reading the snapshot {self.place(path)}"):
            make_private_folder(target.parent)
            try:
                self._connection.do(lambda storage: storage.read(self._remote(path), draft))
                draft.rename(target)
            finally:
                draft.unlink(missing_ok=True)

    def _remote(self, path: str) -> str:
        return posixpath.join(self._folder, path)


def _write_if(connection: Connection[ObjectStorage], path: str, content: bytes, version: str | None) -> str | None:
    writer = secrets.token_hex(8)
    return connection.do(lambda storage: storage.write_if(path, content, version, writer))


@contextmanager
def _state_errors(action: str) -> Iterator[None]:
    try:
        yield
    except (StorageError, OSError) as error:
        raise StateError(f"{action}: {error}. Mend that and start again, which goes on from what is recorded") from error
