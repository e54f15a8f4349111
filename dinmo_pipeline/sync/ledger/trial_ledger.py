"""What deliveries that do not count may have left at a place: kept on this machine until one has come through."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dinmo_pipeline.delta.export import Export
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.project.specs import now_utc
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.sync.ledger.codec import Record, from_json, to_json
from dinmo_pipeline.sync.ledger.events import Announced, Delivered, Fact, Prepared


class TrialRecord:
    """The recorder of deliveries of one activation to one storage that move no base; it only remembers their temporary files.

    A file of one *announced* or *prepared* entry a line in `folder`; gone once a delivery is whole, which has tidied for all before it.
    """

    def __init__(self, folder: Path, storage: StorageSpec) -> None:
        self._path = folder / f"{hashlib.sha256(storage.address.encode()).hexdigest()[:16]}.jsonl"

    def leftovers(self) -> tuple[Export | Announced, ...]:
        """Return what tells of temporary files that may be there still."""
        try:
            lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        except OSError as error:
            raise StateError(f"reading {self._path}: {error.strerror}; mend the folder's rights") from error
        entries = [from_json(line, where=str(self._path)).entry for line in lines if line.endswith(b"}")]
        told = (entry.export if isinstance(entry, Prepared) else entry for entry in entries)
        return tuple(leftover for leftover in told if isinstance(leftover, Export | Announced))

    def append(self, entry: Fact) -> object:
        """Remember what was announced or prepared; forget it all when a delivery is whole."""
        try:
            if isinstance(entry, Announced | Prepared):
                make_private_folder(self._path.parent)
                with os.fdopen(os.open(self._path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600), "ab") as stream:
                    stream.write(to_json(Record(at=now_utc(), entry=entry)).replace(b"\n", b" ") + b"\n")
            elif isinstance(entry, Delivered):
                self._path.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"writing {self._path}: {error.strerror}; mend that and start again") from error
        return None

    def check_unchanged(self) -> None:
        """Do nothing: nobody can be in the way."""
