"""Keys of records that are to be forgotten: as texts that are the same whatever types and files they stand in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import duckdb

from dinmo_pipeline.delta.contract import Contract, is_exact
from dinmo_pipeline.engines.duckdb.differences.equality import exact_text
from dinmo_pipeline.engines.duckdb.snapshot_schema import stored_columns
from dinmo_pipeline.sql.quoting import folded, quote_literal

Key = tuple[tuple[str, ...], tuple[str, ...]]
"""The names of a key's columns, folded, and their values as texts."""

_TABLE = "temp.main.forgotten_keys"


def keys_of(connection: duckdb.DuckDBPyConnection, contract: Contract, rows: str, condition: str) -> set[Key]:
    """Return the keys of those rows of a snapshot or its file (`rows`, SQL; `s` in the condition) for which the condition is true."""
    found = connection.execute(f"SELECT DISTINCT {_key(contract, 's')} FROM {rows} AS s WHERE {condition}").fetchall()
    names = _names(contract)
    return {(names, tuple(key)) for (key,) in found}


def remember_keys(connection: duckdb.DuckDBPyConnection, keys: Collection[Key]) -> None:
    """Make these known to `is_forgotten` on this connection."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_TABLE} (names VARCHAR[], key VARCHAR[])")
    if keys:
        columns = [[list(names) for names, _ in keys], [list(key) for _, key in keys]]
        connection.execute(f"INSERT INTO {_TABLE} SELECT unnest(?::VARCHAR[][]), unnest(?::VARCHAR[][])", columns)


def is_forgotten(contract: Contract, alias: str) -> str:
    """Return SQL that says whether the key of a row of a snapshot is among those that are remembered."""
    return _is_remembered(_names(contract), _key(contract, alias))


def is_forgotten_in_table(columns: Sequence[tuple[str, str]], names: Iterable[str]) -> str:
    """Return SQL that says the same of a row of a table, of whose key these are the columns: SQL and type each."""
    return _is_remembered(tuple(map(folded, names)), _list(columns))


def _is_remembered(names: Sequence[str], key: str) -> str:
    texts = ", ".join(map(quote_literal, names))
    return f"{key} IN (SELECT key FROM {_TABLE} WHERE names = [{texts}]::VARCHAR[])"


def _names(contract: Contract) -> tuple[str, ...]:
    return tuple(folded(column.attribute) for column in contract.key)


def _key(contract: Contract, alias: str) -> str:
    return _list([(column.value(alias), column.type) for column in stored_columns(contract)[: len(contract.key)]])


def _list(columns: Sequence[tuple[str, str]]) -> str:
    texts = (exact_text(sql) if is_exact(type_text) else f"CAST({sql} AS VARCHAR)" for sql, type_text in columns)
    return f"[{', '.join(texts)}]"
