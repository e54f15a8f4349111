"""Reading queries: is it one query, and which tables of the warehouse does it name.

DuckDB's own parser decides, so what passes here is what the warehouse can run, and a syntax error reads as DuckDB
words it. Nothing is bound or run: tables, columns and files need not exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import duckdb

from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.checks.reaching import may_reach_out, reach_problem, reach_problem_of_text
from dinmo_pipeline.project.table_refs import FILLED_BY_IMPORTS, TableRef
from dinmo_pipeline.sql.quoting import quote_identifier

KINDS = ("models", "segments", *FILLED_BY_IMPORTS)
_NAMES_A_TABLE = re.compile("|".join(KINDS), re.IGNORECASE)
_MAY_CHANGE_DATA = re.compile(r"\b(insert|update|delete|merge|copy)\b", re.IGNORECASE)
_ERROR_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{|\{%")
_NO_LOCATION = 2**64 - 1


@dataclass(frozen=True)
class Reference:
    """A warehouse table that a query names, and the line of the query's text (from 1) that it stands on."""

    ref: TableRef
    line: int


@dataclass(frozen=True)
class Query:
    """A query's text, read: ready to stand inside `CREATE TABLE … AS (<sql>` newline `)`.

    `sql` has no semicolon at its end, but may end in a comment. `problem`, with its line of the text (from 1),
    tells why it is not one query; there are no references then.
    """

    sql: str
    references: tuple[Reference, ...] = ()
    problem: str | None = None
    problem_line: int = 1


def read_queries(texts: Iterable[str], *, syntax_only: Iterable[str] = ()) -> dict[str, Query]:
    """Return every one of `texts` read, by its text; one short in-memory connection for all of them.

    Those of `syntax_only` are checked and their references left out.
    """
    skipped = set(syntax_only)
    with closing(duckdb.connect(":memory:", config={"threads": 1})) as connection:
        queries = {text: _read_statement(connection, text) for text in dict.fromkeys((*texts, *skipped))}
        # Reading the tree costs ten times what checking the syntax does, so only queries that can name a table pay it.
        wanted = [text for text, query in queries.items() if query.problem is None and text not in skipped and _needs_tree(text)]
        for text, tree in _syntax_trees(connection, wanted):
            queries[text] = _with_references(queries[text], text, tree)
    return queries


def table_refs(sql: str) -> tuple[TableRef, ...]:
    """Return the tables of the warehouse that `sql` reads, each once, in the order of their names; CallError when it is not one query."""
    query = read_queries([sql])[sql]
    if query.problem is not None:
        raise CallError(f"cannot read the query for its tables: line {query.problem_line}: {query.problem}")
    return tuple(sorted({reference.ref for reference in query.references}))


def segment_query(model: str, where: str) -> str:
    """Return the query of a segment that is a condition on its model; a comment at the end of `where` does no harm."""
    return f"SELECT * FROM models.{quote_identifier(model)} WHERE (\n{where}\n)"


def bare_condition(where: str) -> str:
    """Return a query that, where `segment_query` parses too, parses only when `where` is one condition inside those parentheses.

    `a) or (b` parses between parentheses alone, `a GROUP BY b` without them alone. In both texts `where` starts on line 2.
    """
    return f"SELECT 1 WHERE\n{where}\n"


def _read_statement(connection: duckdb.DuckDBPyConnection, text: str) -> Query:
    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as error:
        line = _ERROR_LINE.search(str(error))
        message = str(error).splitlines()[0].removeprefix("Parser Error: ")
        if _TEMPLATE.search(text):
            message += "; a query is plain SQL without templates: name a table as models.NAME, a feed's as feeds.NAME"
        return Query(text, problem=message, problem_line=int(line[1]) if line else 1)
    if not statements:
        return Query(text, problem="it holds no query")
    if len(statements) > 1:
        kinds = ", ".join(statement.type.name for statement in statements)
        told = f"it holds {len(statements)} statements ({kinds}), and a table is made by one query; give the others models of their own"
        return Query(text, problem=told, problem_line=text.count("\n", 0, _second_statement(text)) + 1)
    statement = statements[0]
    dynamic_pivot = statement.type == duckdb.StatementType.MULTI
    if statement.type != duckdb.StatementType.SELECT and not dynamic_pivot:
        return Query(text, problem=f"it is a {statement.type.name} statement; a table is made by a query (SELECT, WITH, FROM or VALUES)")
    if statement.named_parameters:
        return Query(text, problem="it has a parameter (? or $1); nobody fills it in, so write the value")
    return Query(_without_semicolon(text))


def _second_statement(text: str) -> int:
    """Where the second of several statements begins, in characters."""
    first = _without_semicolon(text)
    rest = text[len(first) + 1 :]
    return len(text) - len(rest.lstrip())


def _without_semicolon(text: str) -> str:
    if ";" not in text:
        return text
    encoded = text.encode()
    for offset, kind in duckdb.tokenize(text):
        if kind == duckdb.token_type.operator and encoded[offset : offset + 1] == b";":
            return encoded[:offset].decode()
    return text


def _needs_tree(text: str) -> bool:
    return bool(_NAMES_A_TABLE.search(text) or _MAY_CHANGE_DATA.search(text)) or may_reach_out(text)


def _syntax_trees(connection: duckdb.DuckDBPyConnection, texts: list[str]) -> Iterator[tuple[str, str]]:
    connection.execute("CREATE TEMP TABLE texts AS SELECT unnest(?::VARCHAR[]) AS text", [texts])
    rows = connection.execute("SELECT text, json_serialize_sql(text, skip_null := true, skip_empty := true) FROM texts").fetchall()
    return iter(rows)


def _with_references(query: Query, text: str, tree: str) -> Query:
    try:
        parsed = json.loads(tree)
    except RecursionError:
        return Query(text, problem="it nests hundreds of operators in one another; split the longest expression in two")
    if parsed["error"]:
        # Only a PIVOT without listed values gets here: DuckDB makes several statements of it.
        return _with_references_by_sqlglot(query, text)
    encoded = text.encode()
    if (reaches := reach_problem(_nodes(parsed))) is not None:
        return Query(text, problem=reaches[0], problem_line=_line_of(encoded, reaches[1]))
    references = []
    for node in _nodes(parsed):
        if str(node.get("type", "")).endswith("_QUERY_NODE"):
            return Query(text, problem="it writes (INSERT, UPDATE, DELETE or COPY inside WITH); a table is made by a query that only reads")
        if node.get("type") == "BASE_TABLE" and (kind := node.get("schema_name", "").lower()) in KINDS and "catalog_name" not in node:
            references.append(Reference(TableRef(kind, node["table_name"].lower()), _line_of(encoded, node.get("query_location"))))
    return Query(query.sql, references=tuple(sorted(set(references), key=lambda found: (found.line, found.ref))))


def _line_of(encoded: bytes, location: int | None) -> int:
    return 1 if location is None or location == _NO_LOCATION else encoded.count(b"\n", 0, location) + 1


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _with_references_by_sqlglot(query: Query, text: str) -> Query:
    # Half a second of imports, for a rare statement.
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(query.sql, dialect="duckdb")
        literals = [literal.this for literal in tree.find_all(exp.Literal) if literal.is_string]
        tables = [*tree.find_all(exp.Table)]
    except sqlglot.errors.SqlglotError:
        return Query(text, problem="its tables cannot be told; list the values of PIVOT: ON column IN (…)")
    if (problem := reach_problem_of_text(query.sql, [*literals, *(table.name for table in tables)])) is not None:
        return Query(text, problem=problem)
    found = {TableRef(table.db.lower(), table.name.lower()) for table in tables if table.db.lower() in KINDS and not table.catalog}
    return Query(query.sql, references=tuple(Reference(ref, 1) for ref in sorted(found)))
