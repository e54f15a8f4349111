"""Models and segments as tables of the warehouse, made by their queries and swapped in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import duckdb

from dinmo_pipeline.activity import doing
from dinmo_pipeline.engines.duckdb.connection import open_warehouse, transaction
from dinmo_pipeline.engines.duckdb.queries.query_errors import query_problem, query_words
from dinmo_pipeline.engines.duckdb.rows import row_count
from dinmo_pipeline.errors import DataError, StateError
from dinmo_pipeline.project.specs import Project, TableSpec, now_utc
from dinmo_pipeline.project.table_refs import FILLED_BY_IMPORTS, TableColumn, TableRef
from dinmo_pipeline.sql.quoting import folded, quote_identifier, quote_literal

_SHOWN = 200


@dataclass(frozen=True)
class Refreshed:
    """A table: its rows, its columns, its first rows as text, and when its query ran; `reused` where that was fresh enough.

    `read` has the columns of the warehouse's tables that the query reads.
    """

    rows: int
    columns: tuple[TableColumn, ...]
    preview: tuple[tuple[str, ...], ...]
    at: datetime | None = None
    read: Mapping[TableRef, tuple[str, ...]] = field(default_factory=dict)
    reused: bool = False


def refresh(project: Project, spec: TableSpec, *, reuse: bool = False, due: datetime | None = None) -> Refreshed:
    """Make the table of `spec` anew in the project's warehouse, which is opened for that alone. Raises what `refresh_table` raises.

    With `reuse`, a table that this very query made stays where it is no older than its `max_age`, or was made since `due`: whoever
    else was due then has made it.
    """
    stopped = "nothing of it was delivered, and the table is as it was before"
    with doing(f"refreshing {spec.ref}", stopped=stopped), open_warehouse(project.warehouse_path, project.query_settings) as connection:
        # Others may have had the warehouse, and made the table, meanwhile.
        now = project.clock()
        oldest = min(due or now, now - timedelta(minutes=spec.max_age_minutes))
        made = _made_by(connection, spec) if reuse else None
        if made is not None and oldest <= made <= now:
            return _look_at(connection, spec, project.preview_rows, made, reused=True)
        return refresh_table(connection, spec, preview_rows=project.preview_rows, now=now)


def refresh_table(
    connection: duckdb.DuckDBPyConnection, spec: TableSpec, *, preview_rows: int = 0, now: datetime | None = None
) -> Refreshed:
    """Run the query of `spec` and put the result in the table's place; readers see the old table or the new one.

    DataError when the query fails or its result lacks the primary key, StateError when the warehouse cannot keep it; the old
    table stays then.
    """
    now = now or now_utc()
    _require_imports(connection, spec)
    table = table_sql(spec.ref)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(spec.ref.kind)}")
    try:
        with transaction(connection):
            try:
                connection.execute(f"CREATE OR REPLACE TABLE {table} AS (\n{spec.sql}\n)")
            except duckdb.Error as error:
                raise _query_failed(spec, error) from error
            connection.execute(f"COMMENT ON TABLE {table} IS {quote_literal(f'{_fingerprint(spec)} {now.isoformat()}')}")
            _require_key(spec, table_columns(connection, table))
            return _look_at(connection, spec, preview_rows, now)
    except duckdb.Error as error:
        raise StateError(
            f"refreshing {spec.ref}: the warehouse did not keep it: {query_words(error)}; the table is as it was before. "
            "Free some room there, and start again"
        ) from error


def _query_failed(spec: TableSpec, error: duckdb.Error) -> DataError:
    line, words = query_problem(error, lines_before=1)
    where = f" ({spec.written_at.at(line)})" if spec.written_at is not None else ""
    return DataError(f"refreshing {spec.ref}{where}: its query failed: {words}; the table is as it was before")


def _fingerprint(spec: TableSpec) -> str:
    return hashlib.sha256(spec.sql.encode()).hexdigest()


def made_at(connection: duckdb.DuckDBPyConnection, ref: TableRef) -> datetime | None:
    """Return when the query of a table ran; None where there is no such table, or an earlier version of the product made it."""
    return _mark(connection, ref)[1]


def _made_by(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> datetime | None:
    """Return when the query of `spec` made its table; None where there is none, or another query's."""
    query, at = _mark(connection, spec.ref)
    return at if query == _fingerprint(spec) else None


def _mark(connection: duckdb.DuckDBPyConnection, ref: TableRef) -> tuple[str, datetime | None]:
    """Return which query made a table, and when: its comment says it."""
    found = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?", [ref.kind, ref.name]
    ).fetchone()
    query, _, at = str((found and found[0]) or "").partition(" ")
    return query, datetime.fromisoformat(at) if at else None


def _look_at(connection: duckdb.DuckDBPyConnection, spec: TableSpec, limit: int, at: datetime, *, reused: bool = False) -> Refreshed:
    table = look_at(connection, spec.ref, preview_rows=limit)
    read = {ref: tuple(column.name for column in table_columns(connection, table_sql(ref))) for ref in spec.depends_on}
    return replace(table, at=at, read=read, reused=reused)


def look_at(connection: duckdb.DuckDBPyConnection, ref: TableRef, *, preview_rows: int = 0) -> Refreshed:
    """Return a table or view as it is now."""
    table = table_sql(ref)
    columns = table_columns(connection, table)
    rows, preview = _count_and_preview(connection, table, columns, preview_rows)
    return Refreshed(rows, columns, preview)


def table_columns(connection: duckdb.DuckDBPyConnection, table_sql: str) -> tuple[TableColumn, ...]:
    """Return the columns of a table, named by quoted SQL, in order."""
    return tuple(TableColumn(row[0], row[1]) for row in connection.execute(f"DESCRIBE {table_sql}").fetchall())


def table_exists(connection: duckdb.DuckDBPyConnection, ref: TableRef) -> bool:
    """Return whether the warehouse has the table or view."""
    found = connection.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_catalog = current_database() AND table_schema = ? AND table_name = ?",
        [ref.kind, ref.name],
    )
    return bool(found.fetchall())


def table_sql(ref: TableRef, *, catalog: str | None = None) -> str:
    """Return the quoted name of a table, in an attached database where `catalog` is given."""
    parts = (ref.kind, ref.name) if catalog is None else (catalog, ref.kind, ref.name)
    return ".".join(quote_identifier(part) for part in parts)


def shown_text(value: str) -> str:
    """Return SQL for the text of a value as people are shown it, NULL for NULL; a long one is cut: it may be larger than the memory."""
    text = f"CAST({value} AS VARCHAR)"
    return f"CASE WHEN length({text}) > {_SHOWN} THEN left({text}, {_SHOWN}) || '…' ELSE {text} END"


def _require_imports(connection: duckdb.DuckDBPyConnection, spec: TableSpec) -> None:
    empty = [str(ref) for ref in spec.depends_on if ref.kind in FILLED_BY_IMPORTS and not table_exists(connection, ref)]
    if empty:
        raise DataError(
            f"refreshing {spec.ref}: no file was imported into {', '.join(empty)} yet; `dinmo import` takes those that lie in the inbox. "
            "The table is as it was before"
        )


def _require_key(spec: TableSpec, columns: tuple[TableColumn, ...]) -> None:
    present = {folded(column.name) for column in columns}
    missing = [column for column in spec.primary_key if folded(column) not in present]
    if missing:
        found = ", ".join(column.name for column in columns)
        raise DataError(
            f"refreshing {spec.ref}: its query gives no column {', '.join(missing)}, which is in its primary key; it gives {found}. "
            "The table is as it was before"
        )


def _count_and_preview(
    connection: duckdb.DuckDBPyConnection, table: str, columns: tuple[TableColumn, ...], limit: int
) -> tuple[int, tuple[tuple[str, ...], ...]]:
    if not limit:
        return row_count(connection, table), ()
    texts = ", ".join(f"coalesce({shown_text(quote_identifier(column.name))}, '')" for column in columns)
    first = connection.execute(f"SELECT {texts} FROM {table} LIMIT {limit}").fetchall()
    return row_count(connection, table), tuple(tuple(row) for row in first)
