"""The rows of a table, or of SQL that stands for one: how many they are, and whether each has a key of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, permutations

import duckdb

_FIRST_ROWS = 10_000
_ORDERS_TRIED = 6


def row_count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Return how many there are."""
    return _one_number(connection, f"SELECT count(*) FROM {table}")


def null_keys(connection: duckdb.DuckDBPyConnection, key: Sequence[str], table: str) -> int:
    """Return how many rows of `table` have a null in the columns `key` (SQL)."""
    return row_count(connection, f"{table} WHERE {' OR '.join(f'{column} IS NULL' for column in key)}")


def keys_are_single(connection: duckdb.DuckDBPyConnection, key: Sequence[str], table: str) -> bool:
    """Return whether no two rows of `table` have the same values in the columns `key` (SQL); none of these is null."""
    # Many tables come in the order of their key, which is seen for nearly nothing; the first rows tell where it is not worth a try.
    first_rows = f"(SELECT * FROM {table} LIMIT {_FIRST_ROWS})"
    order = next((order for order in islice(permutations(key), _ORDERS_TRIED) if _ascend(connection, order, first_rows)), None)
    if order is not None and _ascend(connection, order, table):
        return True
    # A key has one hash, so keys whose hashes ascend are single, too: to sort eight bytes takes less time than to tell keys apart.
    hashes = f"(SELECT hash({', '.join(key)}) AS hash FROM {table} ORDER BY hash)"
    if _ascend(connection, ["hash"], hashes):
        return True
    keys = row_count(connection, f"(SELECT 1 FROM {table} GROUP BY {', '.join(key)})")
    return keys == row_count(connection, table)


def _ascend(connection: duckdb.DuckDBPyConnection, key: Sequence[str], table: str) -> bool:
    """Return whether each row of `table` has a larger key than the row before it, so that no key repeats."""
    value = key[0] if len(key) == 1 else f"row({', '.join(key)})"
    # One row has none before it: were there more, they would be starts of several sequences.
    query = (
        "SELECT count(*) FILTER (before IS NULL) < 2 AND coalesce(bool_and(before < value), true) "
        f"FROM (SELECT {value} AS value, lag({value}) OVER () AS before FROM {table})"
    )
    return bool(_one_number(connection, query))


def _one_number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    (number,) = connection.execute(query).fetchone() or (0,)
    return int(number)
