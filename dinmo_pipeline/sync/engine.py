"""DuckDB at work for a sync: snapshots written, changes found, files rendered. No row passes through Python."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from dinmo_pipeline.errors import DataError, StateError
from dinmo_pipeline.formats.files import scratch_folder
from dinmo_pipeline.project.specs import LoadedAt, Project, SyncMode, TableRef
from dinmo_pipeline.storages.local import sync_to_disk
from dinmo_pipeline.sync import changes as sql
from dinmo_pipeline.sync.comparing import Changes, SnapshotFiles, one_number, translating
from dinmo_pipeline.sync.contract import Contract
from dinmo_pipeline.sync.export import Comparison, Snapshot
from dinmo_pipeline.sync.snapshots import SnapshotStore
from dinmo_pipeline.warehouse.connections import ATTACHED, attached, configure, disk_errors
from dinmo_pipeline.warehouse.folders import make_private_folder
from dinmo_pipeline.warehouse.identifiers import folded, quote_identifier, quote_literal
from dinmo_pipeline.warehouse.tables import TableColumn, table_columns, table_sql

LARGEST_PATCH = 1 / 8
"""The share of its rows up to which a patched snapshot is patched again; beyond it the next one is whole."""

_EXAMPLES = 3
LOOK_PREFIX = ".look-"
_FIRST_ROWS = 10_000


@dataclass(frozen=True)
class Source:
    """A table of the warehouse while it is open: its columns, and the ways to look at it and keep it."""

    connection: duckdb.DuckDBPyConnection
    table: str
    columns: tuple[TableColumn, ...]
    snapshots: SnapshotStore

    @property
    def _files(self) -> SnapshotFiles:
        return SnapshotFiles(self.snapshots)

    def count(self) -> int:
        """The number of its rows."""
        return one_number(self.connection, f"SELECT count(*) FROM {self.table}")

    def newest_load(self, loaded_at: LoadedAt) -> datetime | None:
        """When the newest row came into the model; None when nothing says so. A time without a zone is in the project's.

        DataError when the model has no such column, or one that holds no times.
        """
        column = quote_identifier(loaded_at.column)
        with translating(f"reading when {loaded_at.table} was loaded, from its loaded_at {loaded_at.column}"):
            query = f"SELECT epoch_us(max(CAST({column} AS TIMESTAMPTZ))) FROM {table_sql(loaded_at.table, catalog=ATTACHED)}"
            (microseconds,) = self.connection.execute(query).fetchone() or (None,)
        return None if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC)

    def check_key(self, contract: Contract) -> None:
        """DataError, with examples, when a key is null or stands there twice: a delta could not tell such rows apart."""
        with translating(f"checking the primary key of {contract.source}"):
            self._check_key(contract)

    def _check_key(self, contract: Contract) -> None:
        names = ", ".join(column.attribute for column in contract.key)
        key = [quote_identifier(column.attribute) for column in contract.key]
        nulls = one_number(self.connection, sql.null_keys_query(key, self.table))
        if nulls:
            noun = "row has" if nulls == 1 else "rows have"
            raise DataError(
                f"checking the primary key of {contract.source}: {nulls:,} {noun} no value in {names}; nothing is delivered. "
                "Leave these rows out in the query, or choose another primary_key"
            )
        if not self._has_single_keys(key):
            repeated = self.connection.execute(sql.repeated_keys_query(key, self.table, _EXAMPLES)).fetchall()
            examples = "; ".join(f"{text} ({count} rows)" for text, count in repeated)
            raise DataError(
                f"checking the primary key of {contract.source}: more than one row has the same {names}, for instance {examples}; nothing "
                "is delivered. Make the query give one row a key, or choose another primary_key"
            )

    def _has_single_keys(self, key: Sequence[str]) -> bool:
        # Many tables come in the order of their key, which is seen for nearly nothing; the first rows tell where it is not worth a try.
        first_rows = f"(SELECT * FROM {self.table} LIMIT {_FIRST_ROWS})"
        if all(one_number(self.connection, sql.ascending_keys_query(key, rows)) for rows in (first_rows, self.table)):
            return True
        return one_number(self.connection, sql.distinct_keys_query(key, self.table)) == self.count()

    def typed_if_empty(self, contract: Contract) -> Source:
        """The same; without rows, with the types that its columns had under `contract`.

        The types of no rows say nothing, and a file of a header alone is read as text: its rows left, its key did not change.
        """
        if self.count():
            return self
        known = [(column.attribute, column.type) for column in contract.columns] + [
            (column.attribute, column.type) for column in contract.key
        ]
        types = {folded(attribute): type_text for attribute, type_text in known}
        columns = tuple(TableColumn(column.name, types.get(folded(column.name), column.type)) for column in self.columns)
        values = ", ".join(
            f"CAST({quote_identifier(column.name)} AS {column.type}) AS {quote_identifier(column.name)}" for column in columns
        )
        return replace(self, table=f"(SELECT {values} FROM {self.table})", columns=columns)

    def keep(self, contract: Contract, path: str, *, earlier: Snapshot | None, whole: bool) -> Snapshot:
        """Keep all rows in a new file at `path`, safe when this returns; insert keeps the keys of `earlier`.

        Unless it shall be `whole`, the file is a patch of `earlier` where that is possible. DataError when a key is null or repeated.
        """
        if not whole and earlier is not None and self._has_room(contract, earlier):
            with translating(f"comparing {contract.source} with the last snapshot"):
                patches = self._find_difference(contract, earlier)
            if patches:
                patch = self._files.patch(earlier) if earlier.whole is not None else None
                checksum = self._write(path, sql.patch_query(contract, sql.DIFFERENCE, patch))
                return Snapshot(path, checksum, self.count(), contract, earlier.whole or earlier, earlier.path)
        self.check_key(contract)
        carried = earlier if contract.sync_mode == SyncMode.INSERT else None
        carried_rows = (carried.contract, self._files.rows(carried)) if carried is not None else None
        checksum = self._write(path, sql.snapshot_query(contract, self.table, carried_rows))
        return Snapshot(path, checksum, self.count(), contract)

    def _has_room(self, contract: Contract, earlier: Snapshot) -> bool:
        if not sql.may_be_patched(contract, earlier.contract):
            return False
        if earlier.whole is None:
            return True
        patched = one_number(self.connection, f"SELECT count(*) FROM {self._files.patch(earlier)}")
        return patched <= earlier.rows * LARGEST_PATCH

    def _find_difference(self, contract: Contract, earlier: Snapshot) -> bool:
        """Make the table of what changed since `earlier`; whether each key stands there once, as in `earlier`."""
        before = self._files.rows(earlier)
        for table, query in (
            (sql.CANDIDATES, sql.candidates_query(contract, self.table, before)),
            (sql.DIFFERENCE, sql.difference_query(contract, self.table, before, sql.CANDIDATES)),
        ):
            self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {query}")
        changed, added, gone, back = self.connection.execute(sql.steps_query(sql.DIFFERENCE)).fetchone() or (0, 0, 0, 0)
        key = sql.key_positions(contract)
        nulls = one_number(self.connection, sql.null_keys_query(key, sql.DIFFERENCE))
        keys = one_number(self.connection, sql.distinct_keys_query(key, sql.DIFFERENCE))
        # Keys in `earlier` are single. So are those of today if what changed has no key twice and the numbers of rows agree: a row too
        # many would be one of a key that has not changed.
        return not nulls and keys == changed and self.count() == earlier.rows - gone + added + back

    def _write(self, path: str, query: str) -> str:
        target = self.snapshots.local_path(path)
        with translating(f"keeping the snapshot {target}"):
            make_private_folder(target.parent)
            # One process at a time holds the activation, so another draft is what a killed one left.
            for abandoned in target.parent.glob("*.draft"):
                abandoned.unlink()
            draft = target.with_suffix(".draft")
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
            try:
                self.connection.execute(
                    f"COPY ({query}) TO {quote_literal(str(draft))} "
                    "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, USE_TMP_FILE false)"
                )
                with draft.open("rb") as stream:
                    checksum = hashlib.file_digest(stream, "sha256").hexdigest()
                    os.fsync(stream.fileno())
                draft.rename(target)
            finally:
                draft.unlink(missing_ok=True)
            sync_to_disk(target.parent)
        self.snapshots.keep(path)
        return checksum

    def changes(self, comparison: Comparison) -> Changes:
        """What is sent when it comes from the table itself."""
        return Changes(self.connection, comparison, self._files, self.table)


class Engine:
    """Opens what a sync works with: the project's warehouse, its snapshots, scratch room in the project's home."""

    def __init__(self, project: Project, snapshots: SnapshotStore) -> None:
        self._project = project
        self.snapshots = snapshots

    @contextmanager
    def scratch(self, activation: str) -> Iterator[Path]:
        """An empty folder of this activation for files that are being made, for the owner alone; gone afterwards.

        What a killed process left there goes first: call it while holding the activation's lock. StateError when the disk fails
        meanwhile.
        """
        folder = self._project.home / "staging" / activation
        with disk_errors(f"preparing files of {activation} in {folder}"):
            make_private_folder(folder.parent)
            with scratch_folder(folder):
                yield folder

    @contextmanager
    def source(self, ref: TableRef, local_folder: Path) -> Iterator[Source]:
        """The table as it is in the warehouse now. What does not fit into memory goes to `local_folder`."""
        with self._connection(local_folder) as connection, attached(connection, self._project.warehouse_path):
            table = table_sql(ref, catalog=ATTACHED)
            try:
                columns = table_columns(connection, table)
            except duckdb.CatalogException as error:
                raise StateError(f"reading {ref}: the warehouse has no such table yet; refresh it first, as `dinmo sync` does") from error
            yield Source(connection, table, columns, self.snapshots)

    @contextmanager
    def changes(self, comparison: Comparison, local_folder: Path) -> Iterator[Changes]:
        """What `comparison` of kept rows says is sent; the warehouse stays closed. StateError for a snapshot that is not what it was.

        What does not fit into memory goes to `local_folder`.
        """
        assert comparison.current is not None, "rows that are not kept are compared while their table is open"
        for file in comparison.files:
            self.snapshots.verify(file)
        with self._connection(local_folder) as connection:
            yield Changes(connection, comparison, SnapshotFiles(self.snapshots), table="")

    @contextmanager
    def lookout(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that sees the warehouse's tables, where there are any; it needs no activation's lock."""
        staging = self._project.home / "staging"
        with disk_errors(f"looking into the warehouse with room in {staging}"), ExitStack() as opened:
            make_private_folder(staging)
            folder = opened.enter_context(TemporaryDirectory(prefix=LOOK_PREFIX, dir=staging, ignore_cleanup_errors=True))
            connection = opened.enter_context(self._connection(Path(folder)))
            if self._project.warehouse_path.exists():
                opened.enter_context(attached(connection, self._project.warehouse_path))
            yield connection

    def forget(self, paths: Iterable[str]) -> None:
        """Delete the files of snapshots, those that are still there. StateError when one cannot be deleted."""
        self.snapshots.forget(paths)

    def is_intact(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot's file is what was recorded."""
        try:
            self.verify(snapshot)
        except StateError:
            return False
        return True

    def verify(self, snapshot: Snapshot) -> None:
        """StateError when the snapshot's files are not what was recorded."""
        for file in snapshot.files:
            self.snapshots.verify(file)

    @contextmanager
    def _connection(self, local_folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        # A folder of this process alone: DuckDB gives its files the same names in every process.
        connection = duckdb.connect(":memory:", config={"temp_directory": str(local_folder / "spilled")})
        try:
            configure(connection, self._project.query_settings)
            yield connection
        finally:
            connection.close()
