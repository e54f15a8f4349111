"""Whether each row of a table has a key of its own: a delta could not tell others apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, permutations

import duckdb

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.sync.asking import one_number, row_count, translating
from dinmo_pipeline.sync.contract import Contract
from dinmo_pipeline.warehouse.identifiers import quote_identifier
from dinmo_pipeline.warehouse.tables import shown_text

_EXAMPLES = 3
_FIRST_ROWS = 10_000
_ORDERS_TRIED = 6


def check_key(connection: duckdb.DuckDBPyConnection, table: str, contract: Contract) -> None:
    """DataError, with examples, when a key of `table` (SQL) is null or stands there twice."""
    names = ", ".join(column.attribute for column in contract.key)
    key = [quote_identifier(column.attribute) for column in contract.key]
    action = f"checking the primary key of {contract.source}"
    with translating(action):
        nulls = null_keys(connection, key, table)
        if nulls:
            noun = "row has" if nulls == 1 else "rows have"
            raise DataError(
                f"{action}: {nulls:,} {noun} no value in {names}; nothing is delivered. "
                "Leave these rows out in the query, or choose another primary_key"
            )
        if not _are_single(connection, key, table):
            repeated = connection.execute(_repeated_query(key, table)).fetchall()
            examples = "; ".join(f"{text} ({count} rows)" for text, count in repeated)
            raise DataError(
                f"{action}: more than one row has the same {names}, for instance {examples}; nothing is delivered. "
                "Make the query give one row a key, or choose another primary_key"
            )


def null_keys(connection: duckdb.DuckDBPyConnection, key: Sequence[str], table: str) -> int:
    """How many rows of `table` have a null in the columns `key` (SQL)."""
    return row_count(connection, f"{table} WHERE {' OR '.join(f'{column} IS NULL' for column in key)}")


def distinct_keys(connection: duckdb.DuckDBPyConnection, key: Sequence[str], table: str) -> int:
    """How many keys `table` has."""
    return row_count(connection, f"(SELECT 1 FROM {table} GROUP BY {', '.join(key)})")


def _are_single(connection: duckdb.DuckDBPyConnection, key: Sequence[str], table: str) -> bool:
    # Many tables come in the order of their key, which is seen for nearly nothing; the first rows tell where it is not worth a try.
    first_rows = f"(SELECT * FROM {table} LIMIT {_FIRST_ROWS})"
    order = next((order for order in islice(permutations(key), _ORDERS_TRIED) if _ascend(connection, order, first_rows)), None)
    if order is not None and _ascend(connection, order, table):
        return True
    # A key has one hash, so keys whose hashes ascend are single, too: to sort eight bytes takes less time than to tell keys apart.
    hashes = f"(SELECT hash({', '.join(key)}) AS hash FROM {table} ORDER BY hash)"
    return _ascend(connection, ["hash"], hashes) or distinct_keys(connection, key, table) == row_count(connection, table)


def _ascend(connection: duckdb.DuckDBPyConnection, key: Sequence[str], table: str) -> bool:
    """Whether each row of `table` has a larger key than the row before it, so that no key repeats; none is null."""
    value = key[0] if len(key) == 1 else f"row({', '.join(key)})"
    # One row has none before it: were there more, they would be starts of several sequences.
    query = (
        "SELECT count(*) FILTER (before IS NULL) < 2 AND coalesce(bool_and(before < value), true) "
        f"FROM (SELECT {value} AS value, lag({value}) OVER () AS before FROM {table})"
    )
    return bool(one_number(connection, query))


def _repeated_query(key: Sequence[str], table: str) -> str:
    """Keys that more than one row of `table` has: their text and how many rows, the first few."""
    text = " || ', ' || ".join(map(shown_text, key))
    return f"SELECT any_value({text}), count(*) FROM {table} GROUP BY {', '.join(key)} HAVING count(*) > 1 ORDER BY 1 LIMIT {_EXAMPLES}"
