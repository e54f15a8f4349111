"""The SQL of what one sync sends: all rows, those that changed, those that left; built from names and types alone.

A file's columns are `v0`, `v1`, …, in the order of the contract.
"""

from __future__ import annotations

from collections.abc import Sequence

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.export import Change, Comparison, Snapshot
from dinmo_pipeline.engines.duckdb.differences.equality import differs, same_key
from dinmo_pipeline.engines.duckdb.snapshot_schema import converted, key_order, stored_by_attribute
from dinmo_pipeline.formats.base import Column
from dinmo_pipeline.sql.quoting import folded, quote_identifier

CHANGED = "changed"
REMOVED = "removed"
"""The tables that hold the results of `changed_query` and `removed_query`, in the order of the key."""


def all_rows_query(contract: Contract, snapshot: str, *, patched: bool) -> str:
    """Return every row of the source as the columns `v0`, `v1`, … of a file, from a snapshot."""
    where = " WHERE n.present" if contract.keeps_gone_keys else ""
    # One file has an order of its own, a patched one has not.
    order = f" ORDER BY {key_order(contract, 'n')}" if patched else ""
    return f"SELECT {sent_values(contract, 'n')} FROM {snapshot} AS n{where}{order}"


def table_rows_query(contract: Contract, table: str) -> str:
    """Return every row of the source as the columns of a file, from the warehouse's table."""
    values = ", ".join(f"t.{quote_identifier(column.attribute)} AS v{index}" for index, column in enumerate(contract.columns))
    return f"SELECT {values} FROM {table} AS t"


def changed_query(comparison: Comparison, since: Snapshot, current: str, before: str) -> str:
    """Return the rows that are new or have another value since, as the columns of a file and `is_added`, in the order of the key.

    An inserted row is never updated: with insert these are the new ones alone.
    """
    contract, earlier = comparison.contract, since.contract
    is_added = "o.c0 IS NULL"
    present = "n.present AND " if contract.keeps_gone_keys else ""
    is_other = differs(contract, earlier) if contract.sends_updates else "false"
    return (
        f"SELECT {sent_values(contract, 'n')}, {is_added} AS is_added FROM {current} AS n LEFT JOIN {before} AS o "
        f"ON {same_key(contract, earlier)} WHERE {present}({is_added} OR {is_other}) ORDER BY {key_order(contract, 'n')}"
    )


def removed_query(comparison: Comparison, current: str, before: Sequence[str]) -> str:
    """Return the rows of the earlier snapshots that are not in `current`, with the values of the first that has them, ordered by key."""
    contract = comparison.contract
    columns = removed_columns(comparison)
    key_types = {tuple(column.type for column in snapshot.contract.key) for snapshot in comparison.gone_since}
    selects = []
    for index, (snapshot, place) in enumerate(zip(comparison.gone_since, before, strict=True)):
        earlier = snapshot.contract
        positions = [f"o.c{number}" if len(key_types) == 1 else f"CAST(o.c{number} AS VARCHAR)" for number in range(len(contract.key))]
        order = ", ".join(f"{position} AS k{number}" for number, position in enumerate(positions))
        joins = f" ANTI JOIN {current} AS n ON {same_key(contract, earlier)}"
        for first, first_place in zip(comparison.gone_since[:index], before[:index], strict=True):
            joins += f" ANTI JOIN {first_place} AS n ON {same_key(first.contract, earlier)}"
        selects.append(f"SELECT {removed_values(contract, earlier, columns)}, {order} FROM {place} AS o{joins}")
    names = ", ".join(f"v{index}" for index in range(len(columns)))
    keys = ", ".join(f"k{number}" for number in range(len(contract.key)))
    return f"SELECT {names} FROM ({' UNION ALL '.join(selects)}) ORDER BY {keys}"


def removed_columns(comparison: Comparison) -> tuple[Column, ...]:
    """Return the columns of `removed_query`: today's names, the types of the values last delivered.

    Text where those differ among themselves.
    """
    columns = []
    before = [stored_by_attribute(snapshot.contract) for snapshot in comparison.gone_since]
    for column in comparison.contract.columns:
        types = {stored[folded(column.attribute)].type for stored in before if folded(column.attribute) in stored}
        columns.append(Column(column.name, types.pop() if len(types) == 1 else "VARCHAR" if types else column.type))
    return tuple(columns)


def file_columns(comparison: Comparison, change: Change) -> tuple[Column, ...]:
    """Return the columns of the file that holds `change`."""
    if change == Change.REMOVED and comparison.gone_since:
        return removed_columns(comparison)
    return tuple(Column(column.name, column.type) for column in comparison.contract.columns)


def sent_values(contract: Contract, alias: str) -> str:
    """Return a row of a snapshot as the columns of a file."""
    stored = stored_by_attribute(contract)
    return ", ".join(f"{stored[folded(column.attribute)].value(alias)} AS v{index}" for index, column in enumerate(contract.columns))


def removed_values(contract: Contract, earlier: Contract, columns: Sequence[Column]) -> str:
    """Return a row (`o`) of a snapshot under `earlier` as `columns`, those of `removed_columns`; null where it had no such attribute."""
    stored = stored_by_attribute(earlier)
    values = []
    for index, (column, wanted) in enumerate(zip(contract.columns, columns, strict=True)):
        found = stored.get(folded(column.attribute))
        value = f"CAST(NULL AS {wanted.type})" if found is None else converted(found.value("o"), found.type, wanted.type)
        values.append(f"{value} AS v{index}")
    return ", ".join(values)
