"""A project's state, opened: in its home, or where `DINMO_STATE_URL` says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dinmo_pipeline.delta.snapshot_store import SnapshotStore
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.storages.object_store.contract import ObjectStorage
from dinmo_pipeline.storages.retrying import Connection
from dinmo_pipeline.sync.backends.init_guard import REQUIRE_STATE, Markable, RequireInitialized
from dinmo_pipeline.sync.backends.local import LocalBackend, LocalSnapshots
from dinmo_pipeline.sync.backends.object_store import ObjectSnapshots, ObjectStoreBackend
from dinmo_pipeline.sync.backends.url import STATE_URL, StateStoreSpec, parse_state_url
from dinmo_pipeline.sync.ledger.high_water_marks import Marks
from dinmo_pipeline.sync.ledger.ledger import Log
from dinmo_pipeline.sync.ledger.signing import signer_of_environment


@dataclass(frozen=True)
class StateStore:
    """The logs and the snapshots at one address; `place` names it for people. `marks` are what this machine knows of the logs there."""

    place: str
    backend: RequireInitialized
    snapshots: SnapshotStore
    marks: Marks

    def log(self, project: Project, spec: ActivationSpec) -> Log:
        """Return the activation's log."""
        return Log(
            self.backend,
            spec.name,
            renamed_from=spec.renamed_from,
            keep_syncs=spec.keep_syncs,
            marks=self.marks,
            signer=signer_of_environment(),
            clock=project.clock,
        )


def open_state(project: Project) -> StateStore:
    """Return the project's state, connected to when it is first needed. CallError when `DINMO_STATE_URL` is no address of state."""
    url = os.environ.get(STATE_URL)
    address = parse_state_url(url) if url else project.home / "state"
    if isinstance(address, Path):
        # A home that moves takes its own state along.
        marks = Marks(project.home, os.path.relpath(address, project.home))
        return _opened(str(address), LocalBackend(address), LocalSnapshots(address), marks)
    spec, folder = address
    place = (url or "").rstrip("/")
    # A forked process must not share connections with its parent.
    backend, connection = _remote_backend(spec, folder, project.root, os.getpid())
    copies = LocalSnapshots(project.home / "snapshots")
    return _opened(place, backend, ObjectSnapshots(connection, folder, place, copies), Marks(project.home, place))


def _opened(place: str, backend: Markable, snapshots: SnapshotStore, marks: Marks) -> StateStore:
    return StateStore(place, RequireInitialized(backend, place, required=os.environ.get(REQUIRE_STATE) == "1"), snapshots, marks)


@lru_cache(maxsize=4)
def _remote_backend(spec: StateStoreSpec, folder: str, root: Path, _pid: int) -> tuple[ObjectStoreBackend, Connection[ObjectStorage]]:
    # Clients of object stores are slow to make, and remember what they are told of entries that never change.
    def connect() -> Connection[ObjectStorage]:
        return Connection(lambda: spec.connect(root), retry_for_s=spec.retry_for_s, retries=spec.retries)

    connection = connect()
    return ObjectStoreBackend(connection, connect, folder), connection
