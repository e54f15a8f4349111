"""Where each column of a query comes from, told by sqlglot from the query's text and the columns of the tables that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dinmo_pipeline.project.table_refs import TableRef

_DIALECT = "duckdb"

Origins = Mapping[str, tuple[tuple[TableRef, str], ...]]
"""For each column of the result, the tables and columns that its values are made from; none for a constant or what is not known."""


def column_origins(sql: str, columns: Sequence[str], read: Mapping[TableRef, Sequence[str]]) -> Origins:
    """Return the origins of a query's `columns`; empty where sqlglot does not understand what DuckDB does."""
    # Half a second of imports, for whoever makes a table.
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schema: dict[str, Any] = {}
    for ref, names in read.items():
        schema.setdefault(ref.kind, {})[ref.name] = dict.fromkeys(names, "VARCHAR")
    try:
        query = qualify(parse_one(sql, dialect=_DIALECT), schema=schema, dialect=_DIALECT, validate_qualify_columns=False)
        scope = build_scope(query)
        if scope is None or not isinstance(query, exp.Query):
            return {}
        return {column: _origins_of(column, query, scope, read) for column in columns}
    except (SqlglotError, ValueError, KeyError, RecursionError):
        return {}


def _origins_of(column: str, query: Any, scope: Any, read: Mapping[TableRef, Sequence[str]]) -> tuple[tuple[TableRef, str], ...]:
    from sqlglot import exp
    from sqlglot.lineage import lineage

    found: set[tuple[TableRef, str]] = set()
    for node in lineage(column, query, {}, scope=scope, dialect=_DIALECT, copy=False).walk():
        table = node.expression
        if isinstance(table, exp.Table):
            ref = TableRef(table.db.lower(), table.name.lower())
            name = exp.to_column(node.name, dialect=_DIALECT).name.casefold()
            found.update((ref, known) for known in read.get(ref, ()) if known.casefold() == name)
    return tuple(sorted(found))
