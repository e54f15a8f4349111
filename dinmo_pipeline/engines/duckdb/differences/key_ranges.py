"""A large table is compared with its last snapshot a range of keys at a time, so that a join holds the values of few rows.

That pays where both lie in the order of the key, more or less: what is outside a range is skipped then, not read.
"""

from __future__ import annotations

import duckdb

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.engines.duckdb.snapshot_schema import parquet_blocks, stored_columns
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal
from dinmo_pipeline.sql.types import parse_type

VALUES_AT_ONCE = 5_000_000
"""How many values one join holds, if all of them fit into rows of a range: 200 MB of short ones."""
BLOCK_ROWS = 122_880
"""The rows of which DuckDB keeps the smallest and largest value, in its tables and in Parquet: less than these is read in vain."""

# Their texts are the value itself, and a comparison with one is what DuckDB skips blocks by.
_SKIPPED_BY = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}) | {
    "VARCHAR",
    "DATE",
    "TIMESTAMP",
}


def key_ranges(connection: duckdb.DuckDBPyConnection, contract: Contract, table: str, whole: str, rows: int) -> tuple[str, ...]:
    """Return conditions on the stored key of which each key fits exactly one.

    `table` (SQL) is the warehouse's, `whole` the path of the whole snapshot that it is compared with, the smaller of both has `rows`.
    """
    stored = stored_columns(contract)
    blocks = max(VALUES_AT_ONCE // len(stored) // BLOCK_ROWS, 1)
    first = stored[0]
    if rows <= blocks * BLOCK_ROWS or first.type != first.file_type or parse_type(first.type).kind not in _SKIPPED_BY:
        return ("true",)
    key = quote_identifier(first.attribute)
    in_table = f"SELECT min({key}) AS low, max({key}) AS high FROM {table} GROUP BY rowid // {BLOCK_ROWS}"
    if not (_follow(connection, in_table) and _follow(connection, parquet_blocks(whole, first.position, first.type))):
        return ("true",)
    ends = connection.execute(f"SELECT CAST(high AS VARCHAR) FROM ({in_table}) WHERE high IS NOT NULL ORDER BY high").fetchall()
    # A block's last key may be the next one's first; none stands twice.
    bounds = list(dict.fromkeys(f"CAST({quote_literal(end)} AS {first.type})" for (end,) in ends[blocks - 1 : -1 : blocks]))
    starts = [f"{first.position} > {bound}" for bound in bounds]
    stops = [f"{first.position} <= {bound}" for bound in bounds]
    return (stops[0], *(f"{start} AND {stop}" for start, stop in zip(starts, stops[1:], strict=False)), starts[-1])


def _follow(connection: duckdb.DuckDBPyConnection, blocks: str) -> bool:
    """Return whether no key of a block lies inside another one; `blocks` is SQL for the `low` and `high` of each."""
    (follow,) = connection.execute(
        "SELECT coalesce(bool_and(low IS NOT NULL AND high IS NOT NULL AND (before IS NULL OR before <= low)), false) "
        f"FROM (SELECT low, high, lag(high) OVER (ORDER BY low, high) AS before FROM ({blocks}))"
    ).fetchone() or (False,)
    return bool(follow)
