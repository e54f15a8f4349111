"""What a query must not reach for: other databases, and whatever is opened with a secret that would stand in the query's text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dinmo_pipeline.masking import reads_like_secret

_INSTEAD = (
    "a query reads files, feeds and models, and the tables of DuckDB's own files (read_duckdb). Have those rows written to a file "
    "(Parquet, CSV) that this query reads, and name the asset that writes it in 'deps'"
)
_DATABASES = r"postgres|postgresql|mysql|mariadb|mssql|sqlserver|oracle|odbc|adbc|snowflake|bigquery|redshift|clickhouse|mongo|motherduck"
_CONNECTS = re.compile(rf"(?:{_DATABASES})_\w+|\w+_(?:attach|execute)|sqlite_query|load_aws_credentials|which_secret|getenv", re.IGNORECASE)
_ADDRESS = re.compile(rf"\s*(?:{_DATABASES}|md|quack|airport|ducklake|sqlite):", re.IGNORECASE)
_CALLS = re.compile(rf"\b({_CONNECTS.pattern})\"?\s*\(", re.IGNORECASE)
_OPENS = re.compile(
    r"password|passphrase|secret|token|credential|(?:encryption|access|account|api|footer|column)\w*key|key_value", re.IGNORECASE
)
# What these give to a reader are types and names of columns, whatever those are called.
_OF_COLUMNS = {"columns", "types", "dtypes", "column_types", "names", "column_names", "schema", "hive_types"}
_MAY_REACH = re.compile(
    rf"{_DATABASES}|_attach|_execute|sqlite_|\b(?:md|sqlite|ducklake|quack|airport):|getenv|_secret|load_aws|{_OPENS.pattern}",
    re.IGNORECASE,
)


def may_reach_out(text: str) -> bool:
    """Return whether a query's text has to be looked at closely; most have not."""
    return bool(_MAY_REACH.search(text)) or reads_like_secret(text)


def reach_problem(nodes: Iterable[Mapping[str, Any]]) -> tuple[str, int | None] | None:
    """Return what a query reaches for that it must not, in words without its secret, and where it stands in the text (byte, or unknown)."""
    for node in nodes:
        location = node.get("query_location")
        if node.get("type") == "BASE_TABLE":
            name = str(node.get("table_name", ""))
            if _ADDRESS.match(name):
                return f"it reads a table at another database; {_INSTEAD}", location
            if reads_like_secret(name):
                return _secret_in("the name of a file"), location
        if node.get("type") == "TABLE_FUNCTION":
            called = str(node["function"].get("function_name", "")).lower()
            if (found := _problem_of_call(called, node["function"])) is not None:
                return found, location
        if node.get("class") == "FUNCTION" and _CONNECTS.fullmatch(called := str(node.get("function_name", "")).lower()):
            return _connects(called), location
    return None


def reach_problem_of_text(text: str, literals: Iterable[str]) -> str | None:
    """Return the same of a query that DuckDB shows no tree of."""
    if (found := _CALLS.search(text)) is not None:
        return _connects(found[1].lower())
    if any(_ADDRESS.match(literal) for literal in literals):
        return f"it reads a table at another database; {_INSTEAD}"
    return _secret_in("its text") if any(reads_like_secret(literal) for literal in literals) else None


def _problem_of_call(called: str, function: Mapping[str, Any]) -> str | None:
    if _CONNECTS.fullmatch(called):
        return _connects(called)
    for name, text in _texts(function):
        if reads_like_secret(text) or (text and _OPENS.search(name)):
            return _secret_in(f"what it gives to {called}")
        if (inner := _CALLS.search(text)) is not None:
            return _connects(inner[1].lower())
        if _ADDRESS.match(text):
            return f"it gives {called} the address of another database; {_INSTEAD}"
    return None


def _connects(called: str) -> str:
    return f"it calls {called}, which needs a connection, and its secret, that no query has here: {_INSTEAD}"


def _secret_in(place: str) -> str:
    return (
        f"{place} holds what reads like a password, a key or a token: whoever reads the definitions has it, and errors quote queries. "
        "Take it out of the query, have the file fetched beforehand by an asset of its own, and name that in 'deps'"
    )


def _texts(tree: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text below, with the name of the parameter or member that it is given to."""
    if isinstance(tree, dict):
        if name not in _OF_COLUMNS:
            name = _name_of(tree) or name
        literal = tree.get("literal")
        if isinstance(literal, dict) and literal.get("kind") == "STRING":
            yield name, str(literal.get("text", ""))
        for value in tree.values():
            yield from _texts(value, name)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value, name)


def _name_of(node: Mapping[str, Any]) -> str:
    if node.get("class") == "COMPARISON":
        # A parameter that is given with = alone.
        return ".".join(map(str, node.get("left", {}).get("column_names", ())))
    return str(node.get("alias") or node.get("name") or "")
