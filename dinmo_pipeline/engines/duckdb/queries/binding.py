"""What of a project's queries is wrong, seen before anything runs: each is bound to the columns of what it reads, and none is run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import duckdb

from dinmo_pipeline.engines.duckdb.connection import attached, configure
from dinmo_pipeline.engines.duckdb.queries.query_errors import query_problem
from dinmo_pipeline.engines.duckdb.tables import table_columns, table_sql
from dinmo_pipeline.errors import BusyError, Problem, StateError
from dinmo_pipeline.project.load import LoadedProject
from dinmo_pipeline.project.schema.definitions import Definition
from dinmo_pipeline.project.schema.outbound import ActivationFields
from dinmo_pipeline.project.specs import ActivationSpec, Project, TableSpec
from dinmo_pipeline.project.table_refs import FILLED_BY_IMPORTS, TableColumn, TableRef
from dinmo_pipeline.sql.quoting import folded, quote_identifier
from dinmo_pipeline.suggestions import nearest_hint

# What is elsewhere is asked when a sync runs: a check waits for nobody.
_ELSEWHERE = re.compile(r"\b[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_TIME_ZONE = re.compile(r"\bAT\s+TIME\s+ZONE\s+'((?:[^']|'')*)'", re.IGNORECASE)
_WRONG = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)


@dataclass
class Bound:
    """What binding found: definitions that are wrong, and queries of which nobody can tell here, as their sources cannot be read."""

    problems: list[Problem] = field(default_factory=list)
    unseen: list[Problem] = field(default_factory=list)
    columns: dict[TableRef, tuple[TableColumn, ...]] = field(default_factory=dict)


def bind_queries(loaded: LoadedProject) -> Bound:
    """Bind every query whose sources are at hand, in dependency order, then the columns that activations name.

    Reads files that queries name, as far as their columns need it, and the warehouse where nobody has it; writes nothing.
    """
    found, project = Bound(), loaded.project
    with closing(duckdb.connect(":memory:")) as connection:
        configure(connection, project.query_settings)
        _take_imported(connection, project, found)
        for spec in project.tables.values():
            if all(ref in found.columns for ref in spec.depends_on) and not _ELSEWHERE.search(spec.sql):
                _bind(connection, spec, found)
    for activation, definition in loaded.written:
        if activation.source in found.columns:
            found.problems += _missing_columns(activation, definition, found.columns)
    return found


def _bind(connection: duckdb.DuckDBPyConnection, spec: TableSpec, found: Bound) -> None:
    subject = f"{'Segment' if spec.model is not None or spec.ref.kind == 'segments' else 'Model'} {spec.ref.name}"
    place = spec.written_at
    if place is None or _is_several(connection, spec.sql):
        return
    for match in _TIME_ZONE.finditer(spec.sql):
        if not _is_time_zone(connection, match[1]):
            line = place.line_of(spec.sql.count("\n", 0, match.start()) + 1)
            found.problems.append(Problem(place.file, line, f"{subject}: unknown time zone {match[1]!r}"))
            return
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(spec.ref.kind)}")
    try:
        connection.execute(f"CREATE TABLE {table_sql(spec.ref)} AS (\n{spec.sql}\n) WITH NO DATA")
    except duckdb.Error as error:
        line, words = query_problem(error, lines_before=1)
        problem = Problem(place.file, place.line_of(line), f"{subject}: {words}")
        if isinstance(error, _WRONG) and "extension" not in words:
            found.problems.append(problem)
        else:
            found.unseen.append(Problem(problem.file, problem.line, f"{problem.message}; the query was not checked further"))
        return
    columns = found.columns[spec.ref] = table_columns(connection, table_sql(spec.ref))
    present = {folded(column.name) for column in columns}
    missing = [name for name in spec.primary_key if folded(name) not in present]
    if missing and spec.model is None:
        told = f"its query gives no column {', '.join(missing)}, which is in its primary key{_hint(missing, columns)}"
        found.problems.append(Problem(place.file, place.line_of(1), f"{subject}: {told}"))


def _missing_columns(
    spec: ActivationSpec, definition: Definition[ActivationFields], columns: Mapping[TableRef, tuple[TableColumn, ...]]
) -> Iterator[Problem]:
    present = {folded(column.name) for column in columns[spec.source]}
    is_list = isinstance(definition.fields.mapping, list)
    for index, mapped in enumerate(spec.mapping or ()):
        if folded(mapped.attribute) not in present:
            step = index if is_list else mapped.attribute
            hint = _hint([mapped.attribute], columns[spec.source])
            yield definition.problem(("mapping", step), f"mapping: {spec.source} has no column {mapped.attribute}{hint}")
    loaded_at = spec.loaded_at
    known = () if loaded_at is None else columns.get(loaded_at.table, ())
    if loaded_at is not None and known and folded(loaded_at.column) not in {folded(column.name) for column in known}:
        hint = _hint([loaded_at.column], known)
        yield definition.problem((), f"loaded_at: {loaded_at.table} has no column {loaded_at.column}{hint}")


def _hint(missing: list[str], columns: tuple[TableColumn, ...]) -> str:
    names = [column.name for column in columns]
    return nearest_hint(missing[0], names) if len(missing) == 1 else f"; it gives {', '.join(names)}"


def _is_several(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether DuckDB makes several statements of it: a PIVOT whose columns are its rows' values."""
    return any(statement.type == duckdb.StatementType.MULTI for statement in connection.extract_statements(sql))


def _is_time_zone(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    try:
        connection.execute("SELECT TIMESTAMPTZ '2020-01-01' AT TIME ZONE ?", [name.replace("''", "'")]).fetchall()
    except duckdb.Error:
        return False
    return True


def _take_imported(connection: duckdb.DuckDBPyConnection, project: Project, found: Bound) -> None:
    """Take the columns of tables that imports fill from the warehouse; none where another process has it."""
    wanted = {ref for spec in project.tables.values() for ref in spec.depends_on if ref.kind in FILLED_BY_IMPORTS}
    if not wanted or not project.warehouse_path.exists():
        return
    try:
        with attached(connection, project.warehouse_path, wait_s=0):
            for ref in sorted(wanted):
                _take(connection, ref, found)
    except (BusyError, StateError, duckdb.Error):
        # Whatever is wrong with it: that is told by what works with it, and a check sees the definitions without.
        found.columns.clear()


def _take(connection: duckdb.DuckDBPyConnection, ref: TableRef, found: Bound) -> None:
    try:
        columns = table_columns(connection, table_sql(ref, catalog="warehouse"))
    except duckdb.CatalogException:
        return
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(ref.kind)}")
    named = ", ".join(f"{quote_identifier(column.name)} {column.type}" for column in columns)
    connection.execute(f"CREATE TABLE {table_sql(ref)} ({named})")
    found.columns[ref] = columns
