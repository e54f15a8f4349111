"""How rows are stored in the Parquet file of a snapshot: its columns and their types, written and read back as SQL.

The columns are `c0`, `c1`, …: the key, then every other attribute that is sent, each once. Types that Parquet does not hold exactly are
kept as text there. Insert's has `present` beside them: false for a key that was sent and has left. `patches` says what a patch has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dinmo_pipeline.delta.contract import Contract, KeyColumn, SentColumn
from dinmo_pipeline.errors import DataError
from dinmo_pipeline.sql.quoting import folded, quote_identifier, quote_literal
from dinmo_pipeline.sql.types import parse_type

_AS_TEXT = re.compile(
    r"""(?P<quoted>"(?:[^"]|"")*")"""
    r"""|ENUM\('(?:[^']|'')*'(?:, '(?:[^']|'')*')*\)"""
    r"""|(?P<size>\[\d+\])"""
    r"""|\b(?:HUGEINT|UHUGEINT|BIGNUM|BIT|INTERVAL|TIME WITH TIME ZONE)\b"""
)


@dataclass(frozen=True)
class StoredColumn:
    """A column of the snapshot: where it stands there, the source's attribute, its type, and the type that the file has."""

    position: str
    attribute: str
    type: str
    file_type: str

    def value(self, alias: str) -> str:
        """Return SQL for the value as the source had it: some types that Parquet holds exactly are read back as a wider one."""
        return f"CAST({alias}.{self.position} AS {self.type})"


def stored_columns(contract: Contract) -> tuple[StoredColumn, ...]:
    """Return the snapshot's columns: the key first. DataError for a type that a snapshot cannot hold."""
    columns: tuple[KeyColumn | SentColumn, ...] = (*contract.key, *contract.columns)
    types = {folded(column.attribute): (column.attribute, column.type) for column in columns}
    return tuple(
        StoredColumn(f"c{index}", attribute, type_text, _file_type(attribute, type_text))
        for index, (attribute, type_text) in enumerate(types.values())
    )


def stored_by_attribute(contract: Contract) -> dict[str, StoredColumn]:
    """Return the same by the source's attribute, as DuckDB tells it from others."""
    return {folded(column.attribute): column for column in stored_columns(contract)}


def key_positions(contract: Contract) -> tuple[str, ...]:
    """Return the columns of a snapshot that are its key."""
    return tuple(column.position for column in stored_columns(contract)[: len(contract.key)])


def key_order(contract: Contract, alias: str) -> str:
    """Return SQL to order rows of a snapshot by their key."""
    return ", ".join(f"{alias}.{position}" for position in key_positions(contract))


def same_stored_key(contract: Contract, one: str, other: str) -> str:
    """Return whether rows of two snapshots with the same columns have one key."""
    return " AND ".join(f"{one}.{position} = {other}.{position}" for position in key_positions(contract))


def source_values(contract: Contract, alias: str) -> str:
    """Return a row of the source as a snapshot stores it."""
    return ", ".join(f"{_source_value(column, alias)} AS {column.position}" for column in stored_columns(contract))


def _source_value(column: StoredColumn, alias: str) -> str:
    value = f"{alias}.{quote_identifier(column.attribute)}"
    # A text with a collation would equal others; a snapshot has none.
    return f'{value} COLLATE "binary"' if column.type == "VARCHAR" else converted(value, column.type, column.file_type)


def stored_values(contract: Contract, alias: str) -> str:
    """Return a row of a snapshot in the very types that were written: some are read back as wider ones."""
    return ", ".join(f"CAST({alias}.{column.position} AS {column.file_type}) AS {column.position}" for column in stored_columns(contract))


def converted(value: str, type_text: str, wanted: str) -> str:
    """Return SQL for a value of one type in another."""
    return value if type_text == wanted else f"CAST({value} AS {wanted})"


def parquet_table(local_path: str) -> str:
    """Return SQL that reads exactly this Parquet file, whatever characters its path has."""
    return f"read_parquet({_file_literal(local_path)})"


def parquet_blocks(local_path: str, position: str, type_text: str) -> str:
    """Return SQL for the smallest and largest value (`low`, `high`) of a column in each block of this file; null where unknown."""
    low, high = (f"TRY_CAST({value} AS {type_text})" for value in ("stats_min_value", "stats_max_value"))
    return (
        f"SELECT {low} AS low, {high} AS high FROM parquet_metadata({_file_literal(local_path)}) "
        f"WHERE path_in_schema = {quote_literal(position)}"
    )


def _file_literal(local_path: str) -> str:
    return quote_literal(re.sub(r"([*?\[])", r"[\1]", local_path))


def _file_type(attribute: str, type_text: str) -> str:
    if any(part.kind in ("UNION", "TUPLE") for part in parse_type(type_text).walk()):
        raise DataError(
            f"taking the snapshot: column {attribute} is a {type_text}, which a snapshot cannot hold; "
            "make it a STRUCT, a list or text in the model's query"
        )
    # DuckDB writes an array that is null in a way that not every reader of Parquet takes; a list it does not.
    return _AS_TEXT.sub(lambda match: match["quoted"] or ("[]" if match["size"] else "VARCHAR"), type_text)
