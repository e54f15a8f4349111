"""What keeps snapshots, and where in it they lie."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from dinmo_pipeline.delta.export import Snapshot

_SNAPSHOT_PATH = re.compile(r"activations/[a-z][a-z0-9_]*/snapshots/[0-9]{6,}-[0-9a-f]{8}\.parquet")


def snapshots_folder(activation: str) -> str:
    """Return the folder of an activation's snapshots, as their paths begin."""
    return f"activations/{activation}/snapshots"


def is_snapshot_path(path: str) -> bool:
    """Return whether an activation's snapshot may lie there, below the state's folder."""
    return _SNAPSHOT_PATH.fullmatch(path) is not None


class SnapshotStore(Protocol):
    """Keeps snapshots under the paths that the log has for them. Every method raises StateError, and nothing else."""

    def local_path(self, path: str) -> Path:
        """Return where the file of a snapshot is made, and lies once it is verified, on this machine."""

    def place(self, path: str) -> str:
        """Return where the snapshot is kept, for people."""

    def keep(self, path: str) -> None:
        """Keep the file that was made at its local path; it outlives this machine's faults, as far as the store does, from now on."""

    def verify(self, snapshot: Snapshot) -> None:
        """Have its file at its local path. StateError when it is not what was recorded."""

    def kept(self, activation: str) -> Sequence[str]:
        """Return the paths of all files that lie where the activation's snapshots do."""

    def activations(self) -> Sequence[str]:
        """Return the names of activations that have snapshots on this machine, defined or not."""

    def forget(self, paths: Iterable[str]) -> None:
        """Delete those of these snapshots that are still there."""
