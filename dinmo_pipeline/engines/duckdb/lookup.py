"""One record, looked up by its key in kept snapshots and in the warehouse, with the SQL that finds changes among all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.export import Change, Comparison, Snapshot
from dinmo_pipeline.delta.snapshot_store import SnapshotStore
from dinmo_pipeline.engines.duckdb.connection import ATTACHED
from dinmo_pipeline.engines.duckdb.differences import diff_sql as sql
from dinmo_pipeline.engines.duckdb.differences.diff import Changes
from dinmo_pipeline.engines.duckdb.snapshot_schema import stored_columns
from dinmo_pipeline.engines.duckdb.snapshot_writer import SnapshotFiles, snapshot_query
from dinmo_pipeline.engines.duckdb.tables import table_columns, table_sql
from dinmo_pipeline.project.specs import SyncMode
from dinmo_pipeline.project.table_refs import TableColumn, TableRef
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal

Values = Mapping[str, str | None]
"""A record as text, under the names that its columns have in the file."""

_TODAY = ""


@dataclass(frozen=True)
class RecordOutcome:
    """What a sync does with the record: `sent` with every row, `added`, `updated`, `removed`, `unchanged`, `left` or `absent`.

    `left`: it was in the base and is gone, which this mode tells nobody. `values` are the sync's own, `before` the base's.
    """

    what: str
    values: Values | None = None
    before: Values | None = None


class Lookup:
    """Looks through an open connection; `key` has a text for each column of the primary key."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, snapshots: SnapshotStore, key: Sequence[str]) -> None:
        self._connection = connection
        self._snapshots = snapshots
        self._key = key

    def columns(self, table: TableRef) -> tuple[TableColumn, ...] | None:
        """Return the columns of a table as it is in the warehouse; None where there is none."""
        try:
            return table_columns(self._connection, table_sql(table, catalog=ATTACHED))
        except (duckdb.CatalogException, duckdb.BinderException):
            return None

    def is_in(self, table: TableRef, key: Sequence[TableColumn]) -> bool:
        """Return whether the warehouse's table has the record."""
        rows = f"SELECT 1 FROM {self._table(table, [(column.name, column.type) for column in key])}"
        return self._connection.execute(rows).fetchone() is not None

    def fate(self, comparison: Comparison, timezone: str) -> RecordOutcome:
        """Return what this sync did with the record. The snapshots must be there."""
        return self._fate(comparison, timezone, _FilesOfOne(self._snapshots, self._key))

    def fate_today(self, contract: Contract, table: TableRef, since: Snapshot | None, timezone: str) -> RecordOutcome:
        """Return what a sync of the warehouse's table would do with it; `since` is None when every row would be sent."""
        now = Snapshot(_TODAY, "", 0, contract)
        gone_since = (since,) if since is not None and contract.sync_mode == SyncMode.DIFFERENCE else ()
        rows = self._table(table, [(column.attribute, column.type) for column in contract.key])
        files = _FilesOfOne(self._snapshots, self._key, now=f"({snapshot_query(contract, rows, None)})")
        return self._fate(Comparison(contract, now, since, gone_since), timezone, files)

    def values(self, snapshot: Snapshot) -> Values | None:
        """Return the record as the snapshot has it; None where it has not."""
        return self._present(snapshot, _FilesOfOne(self._snapshots, self._key))

    def _fate(self, comparison: Comparison, timezone: str, files: _FilesOfOne) -> RecordOutcome:
        assert comparison.current is not None, "rows that are not kept cannot be looked up"
        for name in (sql.CHANGED, sql.REMOVED):
            self._connection.execute(f"DROP TABLE IF EXISTS {name}")
        changes = Changes(self._connection, comparison, files, table="")
        words = {Change.ADDED: "added" if comparison.since is not None else "sent", Change.UPDATED: "updated", Change.REMOVED: "removed"}
        for change, word in words.items():
            sent = changes.rows(change, timezone, key_only=False)
            values = self._first(sent.query, [column.name for column in sent.columns])
            if values is not None:
                return RecordOutcome(word, values, self._before(comparison) if change == Change.UPDATED else None)
        values = self._present(comparison.current, files)
        if values is not None:
            return RecordOutcome("unchanged", values)
        before = self._before(comparison)
        return RecordOutcome("left", before=before) if before is not None else RecordOutcome("absent")

    def _before(self, comparison: Comparison) -> Values | None:
        return self.values(comparison.since) if comparison.since is not None else None

    def _present(self, snapshot: Snapshot, files: _FilesOfOne) -> Values | None:
        query = sql.all_rows_query(snapshot.contract, files.rows(snapshot), patched=False)
        return self._first(query, [column.name for column in snapshot.contract.columns])

    def _table(self, table: TableRef, key: Sequence[tuple[str, str]]) -> str:
        matches = " AND ".join(
            _equals(f"k.{quote_identifier(name)}", type_text, text) for (name, type_text), text in zip(key, self._key, strict=True)
        )
        return f"(SELECT k.* FROM {table_sql(table, catalog=ATTACHED)} AS k WHERE {matches})"

    def _first(self, query: str, names: Sequence[str]) -> Values | None:
        texts = ", ".join(f"CAST(v{index} AS VARCHAR)" for index in range(len(names)))
        found = self._connection.execute(f"SELECT {texts} FROM ({query}) LIMIT 1").fetchone()
        return None if found is None else dict(zip(names, found, strict=True))


@dataclass(frozen=True)
class _FilesOfOne(SnapshotFiles):
    """What snapshots hold of the record with this key; `now` is the SQL of the rows that would be kept today."""

    key: Sequence[str]
    now: str = ""

    def rows(self, snapshot: Snapshot) -> str:
        """Return its row, if it has one."""
        return self.now if snapshot.path == _TODAY else self._matching(snapshot, super().rows(snapshot))

    def patch(self, snapshot: Snapshot) -> str:
        """Return its row in a patch, if it has one."""
        return self._matching(snapshot, super().patch(snapshot))

    def _matching(self, snapshot: Snapshot, rows: str) -> str:
        stored = stored_columns(snapshot.contract)[: len(snapshot.contract.key)]
        matches = " AND ".join(_equals(column.value("k"), column.type, text) for column, text in zip(stored, self.key, strict=True))
        return f"(SELECT k.* FROM {rows} AS k WHERE {matches})"


def _equals(column: str, type_text: str, text: str) -> str:
    """Return whether a key's column has the value that this text stands for; a text that stands for none equals nothing."""
    return f"{column} = TRY_CAST({quote_literal(text)} AS {type_text})"
