"""What a sync works with, opened: the warehouse's tables, kept rows, room for files. No row passes through Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.export import Comparison, Snapshot
from dinmo_pipeline.delta.snapshot_store import SnapshotStore
from dinmo_pipeline.engines.duckdb.connection import ATTACHED, attached, configure, disk_errors, interruptible
from dinmo_pipeline.engines.duckdb.differences.diff import Changes
from dinmo_pipeline.engines.duckdb.key_check import check_key
from dinmo_pipeline.engines.duckdb.queries.translate import translate_duckdb_errors
from dinmo_pipeline.engines.duckdb.rows import row_count
from dinmo_pipeline.engines.duckdb.snapshot_writer import SnapshotFiles, SnapshotWriter
from dinmo_pipeline.engines.duckdb.tables import table_columns, table_sql
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.local_files.scratch import scratch_folder
from dinmo_pipeline.project.specs import LoadedAt, Project
from dinmo_pipeline.project.table_refs import TableColumn, TableRef
from dinmo_pipeline.sql.quoting import folded, quote_identifier

LOOK_PREFIX = ".look-"


@dataclass(frozen=True)
class Source:
    """A table of the warehouse while it is open: its columns, and the ways to look at it and keep it."""

    connection: duckdb.DuckDBPyConnection
    table: str
    columns: tuple[TableColumn, ...]
    snapshots: SnapshotStore

    def count(self) -> int:
        """Return the number of its rows."""
        return row_count(self.connection, self.table)

    def newest_load(self, loaded_at: LoadedAt) -> datetime | None:
        """Return when the newest row came into the model; None when nothing says so. A time without a zone is in the project's.

        DataError when the model has no such column, or one that holds no times.
        """
        column = quote_identifier(loaded_at.column)
        with translate_duckdb_errors(f"reading when {loaded_at.table} was loaded, from its loaded_at {loaded_at.column}"):
            query = f"SELECT epoch_us(max(CAST({column} AS TIMESTAMPTZ))) FROM {table_sql(loaded_at.table, catalog=ATTACHED)}"
            (microseconds,) = self.connection.execute(query).fetchone() or (None,)
        return None if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC)

    def check_key(self, contract: Contract) -> None:
        """Raise DataError, with examples, when a key is null or stands there twice: a delta could not tell such rows apart."""
        check_key(self.connection, self.table, contract)

    def typed_if_empty(self, contract: Contract) -> Source:
        """Return the same; without rows, with the types that its columns had under `contract`.

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
        """Keep all rows in a new file at `path`, as `SnapshotWriter.keep` says."""
        return SnapshotWriter(self.connection, self.table, self.snapshots).keep(contract, path, earlier=earlier, whole=whole)

    def changes(self, comparison: Comparison) -> Changes:
        """Return what is sent when it comes from the table itself."""
        return Changes(self.connection, comparison, SnapshotFiles(self.snapshots), self.table)


class Engine:
    """Opens what a sync works with: the project's warehouse, its snapshots, scratch room in the project's home."""

    def __init__(self, project: Project, snapshots: SnapshotStore) -> None:
        self._project = project
        self.snapshots = snapshots

    @contextmanager
    def scratch(self, activation: str) -> Iterator[Path]:
        """Yield an empty folder of this activation for files that are being made, for the owner alone; gone afterwards.

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
        """Yield the table as it is in the warehouse now. What does not fit into memory goes to `local_folder`."""
        with self.connection(local_folder) as connection, attached(connection, self._project.warehouse_path):
            table = table_sql(ref, catalog=ATTACHED)
            try:
                columns = table_columns(connection, table)
            except duckdb.CatalogException as error:
                raise StateError(f"reading {ref}: the warehouse has no such table yet; refresh it first, as `dinmo sync` does") from error
            yield Source(connection, table, columns, self.snapshots)

    @contextmanager
    def changes(self, comparison: Comparison, local_folder: Path) -> Iterator[Changes]:
        """Yield what `comparison` of kept rows says is sent; the warehouse stays closed. StateError for a snapshot that is not what it was.

        What does not fit into memory goes to `local_folder`.
        """
        assert comparison.current is not None, "rows that are not kept are compared while their table is open"
        for file in comparison.files:
            self.snapshots.verify(file)
        with self.connection(local_folder) as connection:
            yield Changes(connection, comparison, SnapshotFiles(self.snapshots), table="")

    @contextmanager
    def look_room(self) -> Iterator[Path]:
        """Yield an empty folder for whoever only looks: it needs no activation's lock. Gone afterwards."""
        staging = self._project.home / "staging"
        with disk_errors(f"looking into what is kept, with room in {staging}"):
            make_private_folder(staging)
            with TemporaryDirectory(prefix=LOOK_PREFIX, dir=staging, ignore_cleanup_errors=True) as folder:
                yield Path(folder)

    @contextmanager
    def lookout(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection that sees the warehouse's tables, where there are any; it needs no activation's lock."""
        with self.look_room() as folder, ExitStack() as opened:
            connection = opened.enter_context(self.connection(folder))
            if self._project.warehouse_path.exists():
                opened.enter_context(attached(connection, self._project.warehouse_path))
            yield connection

    def forget(self, paths: Iterable[str]) -> None:
        """Delete the files of snapshots, those that are still there. StateError when one cannot be deleted."""
        self.snapshots.forget(paths)

    def is_intact(self, snapshot: Snapshot) -> bool:
        """Return whether the snapshot's file is what was recorded."""
        try:
            self.verify(snapshot)
        except StateError:
            return False
        return True

    def verify(self, snapshot: Snapshot) -> None:
        """Raise StateError when the snapshot's files are not what was recorded."""
        for file in snapshot.files:
            self.snapshots.verify(file)

    @contextmanager
    def connection(self, local_folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection to no database; what does not fit into memory goes to `local_folder`."""
        # A folder of this process alone: DuckDB gives its files the same names in every process.
        connection = duckdb.connect(":memory:", config={"temp_directory": str(local_folder / "spilled")})
        try:
            configure(connection, self._project.query_settings)
            with interruptible():
                yield connection
        finally:
            connection.close()
