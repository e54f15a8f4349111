"""Rows kept in snapshots: written whole or as a patch of an earlier snapshot, and read again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import duckdb

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.export import Snapshot
from dinmo_pipeline.delta.snapshot_store import SnapshotStore
from dinmo_pipeline.engines.duckdb.differences import patch_sql as patches
from dinmo_pipeline.engines.duckdb.differences.equality import narrowed, same_key
from dinmo_pipeline.engines.duckdb.differences.key_ranges import key_ranges
from dinmo_pipeline.engines.duckdb.key_check import check_key
from dinmo_pipeline.engines.duckdb.queries.translate import translate_duckdb_errors
from dinmo_pipeline.engines.duckdb.rows import keys_are_single, null_keys, row_count
from dinmo_pipeline.engines.duckdb.snapshot_schema import key_positions, parquet_table, source_values, stored_columns
from dinmo_pipeline.local_files.contents import sync_to_disk
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.sql.quoting import quote_literal

LARGEST_PATCH = 1 / 8
"""The share of its rows up to which a patched snapshot is patched again; beyond it the next one is whole."""


@dataclass(frozen=True)
class SnapshotFiles:
    """SQL that reads what snapshots hold."""

    snapshots: SnapshotStore

    def rows(self, snapshot: Snapshot) -> str:
        """Return all rows of a snapshot."""
        if snapshot.whole is None:
            return parquet_table(str(self.snapshots.local_path(snapshot.path)))
        return patches.patched_table(snapshot.contract, self.rows(snapshot.whole), self.patch(snapshot))

    def patch(self, snapshot: Snapshot) -> str:
        """Return the rows in the file of a snapshot that is a patch."""
        return parquet_table(str(self.snapshots.local_path(snapshot.path)))


@dataclass(frozen=True)
class SnapshotWriter:
    """Keeps the rows of `table` (SQL) while its connection is open."""

    connection: duckdb.DuckDBPyConnection
    table: str
    snapshots: SnapshotStore

    @property
    def _files(self) -> SnapshotFiles:
        return SnapshotFiles(self.snapshots)

    def keep(self, contract: Contract, path: str, *, earlier: Snapshot | None, whole: bool) -> Snapshot:
        """Keep all rows in a new file at `path`, safe when this returns; insert keeps the keys of `earlier`.

        Unless it shall be `whole`, the file is a patch of `earlier` where that is possible. DataError when a key is null or repeated.
        """
        if not whole and earlier is not None and self._has_room(contract, earlier):
            with translate_duckdb_errors(f"comparing {contract.source} with the last snapshot"):
                is_proven = self._find_difference(contract, earlier)
            if is_proven:
                patch = self._files.patch(earlier) if earlier.whole is not None else None
                checksum = write_snapshot(self.connection, self.snapshots, path, patches.patch_query(contract, patches.DIFFERENCE, patch))
                return Snapshot(path, checksum, self._count(), contract, earlier.whole or earlier, earlier.path)
        check_key(self.connection, self.table, contract)
        carried = earlier if contract.keeps_gone_keys else None
        carried_rows = (carried.contract, self._files.rows(carried)) if carried is not None else None
        checksum = write_snapshot(self.connection, self.snapshots, path, snapshot_query(contract, self.table, carried_rows))
        return Snapshot(path, checksum, self._count(), contract)

    def _count(self) -> int:
        return row_count(self.connection, self.table)

    def _has_room(self, contract: Contract, earlier: Snapshot) -> bool:
        if not patches.may_be_patched(contract, earlier.contract):
            return False
        if earlier.whole is None:
            return True
        # The next patch would carry on the keys of rows that were forgotten.
        if row_count(self.connection, f"{self._files.patch(earlier)} WHERE step = '{patches.FORGOTTEN}'"):
            return False
        return row_count(self.connection, self._files.patch(earlier)) <= earlier.rows * LARGEST_PATCH

    def _find_difference(self, contract: Contract, earlier: Snapshot) -> bool:
        """Make the table of what changed since `earlier`; whether each key stands there once, as in `earlier`."""
        before = self._files.rows(earlier)
        whole = str(self.snapshots.local_path((earlier.whole or earlier).path))
        ranges = key_ranges(self.connection, contract, self.table, whole, min(self._count(), earlier.rows))
        for index, keys in enumerate(ranges):
            query = patches.difference_query(contract, self.table, before, keys)
            into = f"INSERT INTO {patches.DIFFERENCE}" if index else f"CREATE OR REPLACE TEMP TABLE {patches.DIFFERENCE} AS"
            self.connection.execute(f"{into} {query}")
        added, gone, back = self.connection.execute(patches.steps_query(patches.DIFFERENCE)).fetchone() or (0, 0, 0)
        key = key_positions(contract)
        single = not null_keys(self.connection, key, patches.DIFFERENCE) and keys_are_single(self.connection, key, patches.DIFFERENCE)
        # Keys in `earlier` are single. So are those of today if what changed has no key twice and the numbers of rows agree: a row too
        # many would be one of a key that has not changed.
        return single and self._count() == earlier.rows - gone + added + back


def write_snapshot(connection: duckdb.DuckDBPyConnection, snapshots: SnapshotStore, path: str, query: str) -> str:
    """Keep the rows of `query` in a new file at `path`, safe when this returns; its SHA-256. The activation's lock is held."""
    target = snapshots.local_path(path)
    with translate_duckdb_errors(f"keeping the snapshot {target}"):
        make_private_folder(target.parent)
        # One process at a time holds the activation, so another draft is what a killed one left.
        for abandoned in target.parent.glob("*.draft"):
            abandoned.unlink()
        draft = target.with_suffix(".draft")
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
        try:
            connection.execute(
                f"COPY ({query}) TO {quote_literal(str(draft))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, USE_TMP_FILE false)"
            )
            with draft.open("rb") as stream:
                checksum = hashlib.file_digest(stream, "sha256").hexdigest()
                os.fsync(stream.fileno())
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
        sync_to_disk(target.parent)
    snapshots.keep(path)
    return checksum


def snapshot_query(contract: Contract, table: str, carried: tuple[Contract, str] | None) -> str:
    """Return the rows of `table`; with the keys in `carried` (an earlier snapshot's contract and its SQL) that are no longer among them."""
    query = f"SELECT {source_values(contract, 't')} FROM {table} AS t"
    if not contract.keeps_gone_keys:
        return query
    query = f"SELECT *, true AS present FROM ({query})"
    if carried is None:
        return query
    earlier, carried_from = carried
    stored = stored_columns(contract)
    keys = list(zip(stored, stored_columns(earlier), strict=False))[: len(contract.key)]
    values = [f"CAST({narrowed(new, old)} AS {new.file_type})" for new, old in keys]
    nothing = [f"CAST(NULL AS {column.file_type})" for column in stored[len(keys) :]]
    # A key that today's type cannot hold cannot come back either.
    fits = " AND ".join(f"{narrowed(new, old)} IS NOT NULL" for new, old in keys)
    return (
        f"WITH n AS ({query}) SELECT * FROM n UNION ALL SELECT {', '.join([*values, *nothing, 'false'])} FROM {carried_from} AS o "
        f"ANTI JOIN n ON {same_key(contract, earlier)} WHERE {fits}"
    )
