"""The files of an activation's snapshots, written anew without some records: what the log has to say of it."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import duckdb

from dinmo_pipeline.delta.export import Snapshot
from dinmo_pipeline.delta.snapshot_store import snapshots_folder
from dinmo_pipeline.engines.duckdb.differences.patch_sql import FORGOTTEN
from dinmo_pipeline.engines.duckdb.rows import row_count
from dinmo_pipeline.engines.duckdb.snapshot_schema import StoredColumn, key_order, key_positions, stored_columns, stored_values
from dinmo_pipeline.engines.duckdb.snapshot_writer import SnapshotFiles, write_snapshot
from dinmo_pipeline.erasure.keys import is_forgotten
from dinmo_pipeline.project.specs import SyncMode
from dinmo_pipeline.sync.ledger.events import Rewritten
from dinmo_pipeline.sync.ledger.state import SyncRecord

_TOLD = f"step IS NOT DISTINCT FROM '{FORGOTTEN}'"


@dataclass
class Rewriting:
    """Writes anew those files of these snapshots that have one of the remembered keys. All files are there, and the lock is held.

    `newest` is the sync that was delivered last. Where the mode tells what was removed, the key alone replaces such a row of that
    sync, in a patch of its own. Only the next comparison reads that patch, so no redelivery sends a row that is nothing but a key.
    """

    connection: duckdb.DuckDBPyConnection
    files: SnapshotFiles
    activation: str
    snapshots: Iterable[Snapshot]
    newest: SyncRecord | None
    made: dict[str, tuple[str, str]] = field(default_factory=dict)

    def rewrite(self) -> Rewritten | None:
        """Write the files; what to append to the log, None where nothing is to be forgotten. The old files stay."""
        files = {file.path: file for snapshot in self.snapshots for file in snapshot.files}
        base = self.newest.snapshot if self.newest is not None else None
        pending = base if base is not None and self._has_told(base) else None
        for file in files.values():
            if file != pending and row_count(self.connection, f"{self.files.patch(file)} AS s WHERE {self._goes(file)}"):
                self.made[file.path] = self._write(file.path, self._others(file))
        others = [file for file in files.values() if file != pending]
        mapped = {file.path: new for file in others if (new := self._mapped(file)) is not file}
        new_base = self._base(base, pending) if base is not None else None
        if pending is not None and new_base is not None:
            mapped[pending.path] = new_base
        if not mapped and new_base is None:
            return None
        number = self.newest.number if self.newest is not None and new_base is not None else None
        return Rewritten(mapped, number, new_base)

    def keys_that_stay(self, entry: Rewritten) -> int:
        """Return how many keys the next delivery has to tell as removed."""
        return row_count(self.connection, f"{self.files.patch(entry.base)} WHERE {_TOLD}") if entry.base is not None else 0

    def _has_told(self, snapshot: Snapshot) -> bool:
        """Return whether its own file has keys that are there for the next delivery alone."""
        return snapshot.whole is not None and row_count(self.connection, f"{self.files.patch(snapshot)} WHERE {_TOLD}") > 0

    def _goes(self, file: Snapshot) -> str:
        told = f" OR s.{_TOLD}" if file.whole is not None else ""
        return f"({is_forgotten(file.contract, 's')}{told})"

    def _others(self, file: Snapshot) -> str:
        """Return the rows of a file that stay, as it has them."""
        more = ("present", "step") if file.whole is not None else ("present",) if file.contract.keeps_gone_keys else ()
        columns = ", ".join([stored_values(file.contract, "s"), *(f"s.{name}" for name in more)])
        return f"SELECT {columns} FROM {self.files.patch(file)} AS s WHERE NOT {self._goes(file)}"

    def _mapped(self, snapshot: Snapshot) -> Snapshot:
        whole = self._mapped(snapshot.whole) if snapshot.whole is not None else None
        made = self.made.get(snapshot.path)
        if made is None and whole is snapshot.whole:
            return snapshot
        path, sha256 = made or (snapshot.path, snapshot.sha256)
        # Steps of a patch that was written anew are not relied on.
        return self._counted(replace(snapshot, path=path, sha256=sha256, whole=whole, since=None))

    def _counted(self, snapshot: Snapshot) -> Snapshot:
        present = " AS s WHERE s.present" if snapshot.contract.keeps_gone_keys else ""
        return replace(snapshot, rows=row_count(self.connection, f"{self.files.rows(snapshot)}{present}"))

    def _base(self, base: Snapshot, pending: Snapshot | None) -> Snapshot | None:
        """Return what the next sync is compared with; None where that needs no more than what stands for `base`."""
        contract = base.contract
        if contract.sync_mode != SyncMode.DIFFERENCE:
            return None
        keys = ", ".join(f"s.{position}" for position in key_positions(contract))
        rows, whole = self.files.rows(base), base.whole or base
        gone = f"SELECT {keys} FROM {rows} AS s WHERE {is_forgotten(contract, 's')}"
        told = f"SELECT {keys} FROM {rows} AS s WHERE false"
        if pending is not None:
            told = f"SELECT {keys} FROM {self.files.patch(base)} AS s WHERE s.{_TOLD}"
        news = row_count(self.connection, f"({gone} EXCEPT {told})")
        if not news and (pending is None or self._mapped(whole) is whole):
            return None
        stored = stored_columns(contract)
        nothing = [f"CAST(NULL AS {column.file_type}) AS {column.position}" for column in stored[len(contract.key) :]]
        alone = ", ".join([*(_cast(column, "k") for column in stored[: len(contract.key)]), *nothing])
        query = f"SELECT {alone}, true AS present, '{FORGOTTEN}' AS step FROM ({gone} UNION {told}) AS k"
        if base.whole is not None:
            query = f"{self._others(base)} UNION ALL {query}"
        path, sha256 = self._write(base.path, f"SELECT * FROM ({query}) AS p ORDER BY {key_order(contract, 'p')}")
        return self._counted(replace(base, path=path, sha256=sha256, whole=self._mapped(whole), since=None))

    def _write(self, old: str, query: str) -> tuple[str, str]:
        number = posixpath.basename(old).partition("-")[0]
        path = f"{snapshots_folder(self.activation)}/{number}-{secrets.token_hex(4)}.parquet"
        return path, write_snapshot(self.connection, self.files.snapshots, path, query)


def _cast(column: StoredColumn, alias: str) -> str:
    return f"CAST({alias}.{column.position} AS {column.file_type}) AS {column.position}"
