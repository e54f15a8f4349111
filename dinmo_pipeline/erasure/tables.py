"""The warehouse: rows deleted from its tables, texts of its record emptied, and the file written anew, since DuckDB keeps freed pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import duckdb

from dinmo_pipeline.engines.duckdb.connection import open_warehouse, rewrite_warehouse
from dinmo_pipeline.engines.duckdb.rows import row_count
from dinmo_pipeline.engines.duckdb.tables import table_columns, table_exists, table_sql
from dinmo_pipeline.erasure.person import Column, Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.project.table_refs import TableColumn, TableRef
from dinmo_pipeline.sql.quoting import folded, quote_identifier

_RECORD = "inbound"
# What of the record of files may quote a value. Their other columns are names and numbers that the product goes by.
_TEXTS: Mapping[str, tuple[str, ...]] = {"files": ("reason",), "rejects": ("value", "reason"), "events": ("reason",)}
_LISTS: Mapping[str, tuple[str, ...]] = {"files": ("warnings",)}
_FILE = "_file"
_SHOWN_FILES = 5
_NEVER_MADE = "{} was never made here, so whether it gives the person is unknown: a sync makes it"


@dataclass
class Tables:
    """The tables of the warehouse. `again` has, once it was looked at, why a model would bring the person back at its next refresh."""

    project: Project
    again: dict[TableRef, str] = field(default_factory=dict)

    def forget(self, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        """Delete the person's rows in every table, and ask each model's query whether it would bring them back."""
        path, settings = self.project.warehouse_path, self.project.query_settings
        if not path.exists():
            self.again = {ref: _NEVER_MADE.format(ref) for ref in self.project.tables}
            return
        with open_warehouse(path, settings) as connection:
            with _open_transaction(connection):
                found = self._empty(connection, person, dry_run=dry_run)
                again = self._find_again(connection, person)
                if self.again:
                    # A table whose query still gives the person would tell them as removed now, and as added after its next refresh.
                    connection.rollback()
                    connection.begin()
                    found = self._empty(connection, person, dry_run=dry_run)
                connection.rollback() if dry_run else connection.commit()
            found += again
        yield from found
        if not dry_run:
            # Also where nothing was found: freed pages hold what a refresh, or a run that was killed, has deleted before.
            rewrite_warehouse(path, settings)
            yield Receipt("warehouse", str(path), 0, "written anew, without its freed pages")

    def reasons(self, ref: TableRef) -> list[str]:
        """Return why the next refresh of this table, and of those that it is made from, would bring the person back."""
        return [self.again[table.ref] for table in self.project.tables_for(ref) if table.ref in self.again]

    def _empty(self, connection: duckdb.DuckDBPyConnection, person: Person, *, dry_run: bool) -> list[Receipt]:
        """Take the person out, in an open transaction; but for tables that would get them again."""
        spared = {ref for ref in self.project.tables if self.reasons(ref)}
        rows = _delete_rows(connection, person, self._names, spared, dry_run=dry_run)
        return [*rows, *_empty_texts(connection, person, dry_run=dry_run)]

    def _find_again(self, connection: duckdb.DuckDBPyConnection, person: Person) -> list[Receipt]:
        """Ask the queries of models and segments, now that the tables have the person no more."""
        receipts = []
        for spec in self.project.tables.values():
            if self.reasons(spec.ref):
                continue
            query = f"(\n{spec.sql}\n)"
            if unmade := next((ref for ref in spec.depends_on if not table_exists(connection, ref)), None):
                if unmade in self.project.tables:
                    self.again[spec.ref] = _NEVER_MADE.format(unmade)
                continue
            try:
                condition = person.condition(self._names(spec.ref), _by_name(table_columns(connection, f"(SELECT * FROM {query})")))
                if condition is None:
                    continue
                count = row_count(connection, f"{query} WHERE {condition}")
            except duckdb.Error:
                # The error may quote values; `dinmo sync` shows it.
                self.again[spec.ref] = f"the query of {spec.ref} fails, so whether it gives the person is unknown: `dinmo sync` says why"
                receipts.append(Receipt("query", str(spec.ref), 0, "", f"{self.again[spec.ref]}; mend that, and forget again"))
                # An error ends the transaction in which the tables have the person no more.
                connection.rollback()
                connection.begin()
                self._empty(connection, person, dry_run=True)
                continue
            if count:
                self.again[spec.ref] = f"the query of {spec.ref} still gives the person: erase them in what it reads"
                receipts.append(Receipt("query", str(spec.ref), count, "", f"{self.again[spec.ref]}, and forget again"))
        return receipts

    def _names(self, ref: TableRef) -> set[str]:
        """Return what a description may call a table: its name, or that of the model whose rows a segment chooses."""
        spec = self.project.tables.get(ref)
        return {str(ref)} | ({str(spec.model)} if spec is not None and spec.model is not None else set())


def _delete_rows(
    connection: duckdb.DuckDBPyConnection,
    person: Person,
    names: Callable[[TableRef], set[str]],
    spared: Collection[TableRef],
    *,
    dry_run: bool,
) -> Iterator[Receipt]:
    done = "would be deleted" if dry_run else "deleted"
    for ref in _base_tables(connection):
        if ref in spared:
            continue
        table = table_sql(ref)
        columns = table_columns(connection, table)
        condition = person.condition(names(ref), _by_name(columns))
        if condition is None:
            continue
        files = []
        if ref.kind == "feeds" and any(column.name == _FILE for column in columns):
            files = connection.execute(f"SELECT DISTINCT {_FILE} FROM {table} WHERE {condition} ORDER BY ALL").fetchall()
        [(count,)] = connection.execute(f"DELETE FROM {table} WHERE {condition}").fetchall()
        if count:
            yield Receipt("table", str(ref), count, done + _came_with([name for (name,) in files if name is not None]))


def _empty_texts(connection: duckdb.DuckDBPyConnection, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
    if not person.words:
        return
    for name, columns in _TEXTS.items():
        ref = TableRef(_RECORD, name)
        if not table_exists(connection, ref):
            continue
        lists = _LISTS.get(name, ())
        tests = [person.mentions_sql(column) for column in columns]
        tests += [f"len(list_filter({column}, lambda text: {person.mentions_sql('text')})) > 0" for column in lists]
        values = [f"{column} = {person.emptied_sql(column)}" for column in columns]
        values += [f"{column} = list_transform({column}, lambda text: {person.emptied_sql('text')})" for column in lists]
        statement = f"UPDATE {table_sql(ref)} SET {', '.join(values)} WHERE {' OR '.join(tests)}"
        [(count,)] = connection.execute(statement).fetchall()
        if count:
            yield Receipt("texts", str(ref), count, "would be emptied" if dry_run else "emptied")


@contextmanager
def _open_transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Open a transaction that ends meanwhile, or not at all; an interrupt, too, leaves none open."""
    connection.begin()
    try:
        yield
    except BaseException:  # It goes on its way.
        with suppress(duckdb.Error):
            connection.rollback()
        raise


def _base_tables(connection: duckdb.DuckDBPyConnection) -> list[TableRef]:
    """Return every table that has rows of its own, also those that the project defines no more."""
    found = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT internal AND NOT temporary "
        "AND schema_name <> ? ORDER BY ALL",
        [_RECORD],
    )
    return [TableRef(*row) for row in found.fetchall()]


def _by_name(columns: tuple[TableColumn, ...]) -> dict[str, Column]:
    return {folded(column.name): Column(quote_identifier(column.name), column.type) for column in columns}


def _came_with(files: Sequence[str]) -> str:
    """Name the files with which the rows came last: they lie in `imports/`."""
    if not files:
        return ""
    more = f" and {len(files) - _SHOWN_FILES:,} more files" if len(files) > _SHOWN_FILES else ""
    return f"; they came last with {', '.join(files[:_SHOWN_FILES])}{more}"
