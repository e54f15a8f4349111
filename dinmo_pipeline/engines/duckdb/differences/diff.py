"""What one sync sends: found by DuckDB in the snapshots of two moments, or in a table, and written to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from dinmo_pipeline.delta.export import Change, Comparison, Counts
from dinmo_pipeline.engines.duckdb.differences import diff_sql as sql
from dinmo_pipeline.engines.duckdb.differences import patch_sql as patches
from dinmo_pipeline.engines.duckdb.queries.translate import translate_duckdb_errors
from dinmo_pipeline.engines.duckdb.rows import row_count
from dinmo_pipeline.engines.duckdb.snapshot_writer import SnapshotFiles
from dinmo_pipeline.engines.duckdb.tables import shown_text
from dinmo_pipeline.formats.base import Format, Rows, Written
from dinmo_pipeline.project.specs import SyncMode
from dinmo_pipeline.sql.quoting import folded, quote_literal


@dataclass(frozen=True)
class NumberedRows(Rows):
    """All rows of a table, whose row ids count them from 0: a window of them reads nothing of what comes before it."""

    def window(self, first: int, count: int) -> NumberedRows:
        """Return the `count` rows that start at row number `first` (from 0)."""
        return replace(self, query=f"{self.query} WHERE rowid BETWEEN {first} AND {first + count - 1}")


class Changes:
    """What one sync sends, while its connection is open: how many rows, and the files that hold them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, comparison: Comparison, files: SnapshotFiles, table: str) -> None:
        self._connection = connection
        self._comparison = comparison
        self._files = files
        self._table = table
        self._copies: dict[str, str] = {}
        with translate_duckdb_errors("finding what changed"):
            self._find()
            self.counts = self._count()

    def rows_of(self, change: Change) -> int:
        """Return how many rows the file of `change` has."""
        counts = self.counts
        if change == Change.ALL:
            return counts.rows
        if change == Change.CHANGED:
            return (counts.added or 0) + (counts.updated or 0)
        return {Change.ADDED: counts.added, Change.UPDATED: counts.updated, Change.REMOVED: counts.removed}[change] or 0

    def rows(self, change: Change, timezone: str, *, key_only: bool) -> Rows:
        """Return the rows of `change` as a format takes them; with `key_only`, the columns of the key alone."""
        columns = sql.file_columns(self._comparison, change)
        query = self._query(change)
        if key_only:
            keys = {folded(column.attribute) for column in self._comparison.contract.key}
            kept = [index for index, column in enumerate(self._comparison.contract.columns) if folded(column.attribute) in keys]
            query = f"SELECT {', '.join(f'v{index} AS v{place}' for place, index in enumerate(kept))} FROM ({query})"
            columns = tuple(columns[index] for index in kept)
        return Rows(query, columns, timezone)

    def numbered(self, rows: Rows) -> Rows:
        """Return the same rows so that many windows of them cost no more than all at once; copies them once where it must."""
        query = rows.query if self._are_numbered(rows) else f"SELECT * FROM {self._copy(rows)}"
        return NumberedRows(query, rows.columns, rows.timezone)

    def write(self, format_: Format, rows: Rows, local_path: Path) -> Written:
        """Write `rows` to a new local file. DataError where a value cannot be written, StateError when the disk does not take it."""
        with translate_duckdb_errors(f"writing {local_path.name} in {local_path.parent}"):
            return format_.write(self._connection, rows, local_path)

    def positions(self, rows: Rows, values: Mapping[str, str | None]) -> list[int]:
        """Return the numbers (from 0) of the first two of `rows` whose columns have these values as text."""
        matches = [
            f"CAST({column} AS VARCHAR) {'IS NULL' if value is None else '= ' + quote_literal(value)}" for column, value in values.items()
        ]
        found = self._connection.execute(f"SELECT rowid FROM {self._copy(rows)} WHERE {' AND '.join(matches)} LIMIT 2")
        return [int(row[0]) for row in found.fetchall()]

    def line_after(self, format_: Format, rows: Rows, first: int, count: int, local_path: Path) -> int | None:
        """Return the line (from 1) of a file, which begins at row `first` of `rows`, on which the record after its first `count` begins.

        None where the format has no lines. Writes those `count` to a new local file, and deletes it.
        """
        return format_.line_after(self._connection, self.numbered(rows).window(first, count), count, local_path)

    def sample(self, rows: Rows, limit: int) -> tuple[tuple[str | None, ...], ...]:
        """Return the first rows as people are shown them."""
        texts = ", ".join(shown_text(f"v{index}") for index in range(len(rows.columns)))
        return tuple(tuple(row) for row in self._connection.execute(f"SELECT {texts} FROM ({rows.query}) LIMIT {limit}").fetchall())

    def _are_numbered(self, rows: Rows) -> bool:
        """Return whether these are all rows of the table, and its row ids count them from 0: so it is until a row is deleted."""
        if self._comparison.current is not None or not self.counts.rows or rows.query != self._every_row():
            return False
        with translate_duckdb_errors("numbering the rows of the parts"):
            return row_count(self._connection, f"{self._table} WHERE rowid >= {self.counts.rows}") == 0

    def _copy(self, rows: Rows) -> str:
        """Copy the rows to a temporary table, once; its name."""
        if rows.query not in self._copies:
            table = self._copies[rows.query] = f"copy_{len(self._copies)}"
            with translate_duckdb_errors("numbering the rows of the parts"):
                self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {rows.query}")
        return self._copies[rows.query]

    def _find(self) -> None:
        comparison = self._comparison
        current, since = comparison.current, comparison.since
        if current is None:
            return
        patch = self._files.patch(current)
        if since is not None:
            query = (
                patches.changed_in_patch_query(comparison, patch)
                if current.since == since.path
                else sql.changed_query(comparison, since, self._files.rows(current), self._files.rows(since))
            )
            self._connection.execute(f"CREATE TEMP TABLE {sql.CHANGED} AS {query}")
        if comparison.gone_since and comparison.contract.sync_mode == SyncMode.DIFFERENCE:
            query = (
                patches.removed_in_patch_query(comparison, patch)
                if [snapshot.path for snapshot in comparison.gone_since] == [current.since]
                else sql.removed_query(
                    comparison, self._files.rows(current), [self._files.rows(snapshot) for snapshot in comparison.gone_since]
                )
            )
            self._connection.execute(f"CREATE TEMP TABLE {sql.REMOVED} AS {query}")

    def _count(self) -> Counts:
        comparison, mode = self._comparison, self._comparison.contract.sync_mode
        rows = row_count(self._connection, self._table) if comparison.current is None else comparison.current.rows
        if mode == SyncMode.SNAPSHOT:
            return Counts(rows)
        added, updated = rows, 0
        if comparison.since is not None:
            added = row_count(self._connection, f"{sql.CHANGED} WHERE is_added")
            updated = row_count(self._connection, f"{sql.CHANGED} WHERE NOT is_added")
        if mode == SyncMode.INSERT:
            return Counts(rows, added)
        if mode == SyncMode.UPSERT:
            return Counts(rows, added, updated)
        removed = row_count(self._connection, sql.REMOVED) if comparison.gone_since else 0
        return Counts(rows, added, updated, removed)

    def _query(self, change: Change) -> str:
        comparison = self._comparison
        every_row = self._every_row()
        if change == Change.REMOVED and comparison.gone_since:
            return f"SELECT * FROM {sql.REMOVED}"
        if change in (Change.REMOVED, Change.UPDATED) and comparison.since is None:
            return f"{every_row} LIMIT 0"
        if comparison.since is None:
            return every_row
        where = {Change.ADDED: " WHERE is_added", Change.UPDATED: " WHERE NOT is_added"}.get(change, "")
        return f"SELECT * EXCLUDE (is_added) FROM {sql.CHANGED}{where}"

    def _every_row(self) -> str:
        contract, current = self._comparison.contract, self._comparison.current
        if current is not None:
            return sql.all_rows_query(contract, self._files.rows(current), patched=current.whole is not None)
        return sql.table_rows_query(contract, self._table)
