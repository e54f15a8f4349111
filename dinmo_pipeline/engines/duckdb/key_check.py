"""Whether each row of a table has a key of its own: a delta could not tell others apart."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.engines.duckdb.queries.translate import translate_duckdb_errors
from dinmo_pipeline.engines.duckdb.rows import keys_are_single, null_keys
from dinmo_pipeline.engines.duckdb.tables import shown_text
from dinmo_pipeline.errors import DataError
from dinmo_pipeline.sql.quoting import quote_identifier

_EXAMPLES = 3


def check_key(connection: duckdb.DuckDBPyConnection, table: str, contract: Contract) -> None:
    """Raise DataError, with examples, when a key of `table` (SQL) is null or stands there twice."""
    names = ", ".join(column.attribute for column in contract.key)
    key = [quote_identifier(column.attribute) for column in contract.key]
    action = f"checking the primary key of {contract.source}"
    with translate_duckdb_errors(action):
        nulls = null_keys(connection, key, table)
        if nulls:
            noun = "row has" if nulls == 1 else "rows have"
            raise DataError(
                f"{action}: {nulls:,} {noun} no value in {names}; nothing is delivered. "
                "Leave these rows out in the query, or choose another primary_key"
            )
        if not keys_are_single(connection, key, table):
            repeated = connection.execute(_repeated_query(key, table)).fetchall()
            examples = "; ".join(f"{text} ({count} rows)" for text, count in repeated)
            raise DataError(
                f"{action}: more than one row has the same {names}, for instance {examples}; nothing is delivered. "
                "Make the query give one row a key, or choose another primary_key"
            )


def _repeated_query(key: Sequence[str], table: str) -> str:
    """Return keys that more than one row of `table` has: their text and how many rows, the first few."""
    text = " || ', ' || ".join(map(shown_text, key))
    return f"SELECT any_value({text}), count(*) FROM {table} GROUP BY {', '.join(key)} HAVING count(*) > 1 ORDER BY 1 LIMIT {_EXAMPLES}"
