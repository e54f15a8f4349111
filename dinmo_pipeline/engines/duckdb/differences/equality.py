"""When a row of today (`n`) and one of an earlier snapshot (`o`) have one key, and whether it has to be sent again.

Types may have changed between them: numbers are compared by value, and what a type cannot hold equals nothing in it.
"""

from __future__ import annotations

from dinmo_pipeline.delta.contract import Contract, SentColumn, is_exact, same_or_numbers
from dinmo_pipeline.engines.duckdb.snapshot_schema import StoredColumn, stored_by_attribute, stored_columns
from dinmo_pipeline.sql.quoting import folded


def same_key(contract: Contract, earlier: Contract) -> str:
    """Return whether both rows have one key."""
    pairs = zip(stored_columns(contract)[: len(contract.key)], stored_columns(earlier)[: len(earlier.key)], strict=True)
    return " AND ".join(_equal(new, old) for new, old in pairs)


def narrowed(new: StoredColumn, old: StoredColumn) -> str:
    """Return an earlier key in today's type; null when it has no place there."""
    value = old.value("o")
    if new.type == old.type:
        return value
    in_type = f"TRY_CAST({value} AS {new.type})"
    return f"CASE WHEN {exact_text(in_type)} = {exact_text(value)} THEN {in_type} END"


def differs(contract: Contract, earlier: Contract) -> str:
    """Return whether a row has to be sent again.

    Both sides as the files hold them, where unlike intervals and exact numbers are unlike texts.
    """
    if contract.widens(earlier):
        return "true"
    now, before = stored_by_attribute(contract), stored_by_attribute(earlier)
    # What is unmapped or dropped does not count; a key that is equal has no other value.
    compared: list[SentColumn] = [column for column in contract.columns if folded(column.attribute) in before]
    tests = [_distinct(now[folded(column.attribute)], before[folded(column.attribute)]) for column in compared]
    return f"({' OR '.join(tests)})" if tests else "false"


def _equal(new: StoredColumn, old: StoredColumn) -> str:
    if new.type == old.type:
        return f"n.{new.position} = o.{old.position}"
    return f"{exact_text('n.' + new.position)} = {exact_text('o.' + old.position)}"


def _distinct(new: StoredColumn, old: StoredColumn) -> str:
    if new.type == old.type or not same_or_numbers(new.type, old.type):
        return f"n.{new.position} IS DISTINCT FROM o.{old.position}"
    if is_exact(new.type) and is_exact(old.type):
        return f"{exact_text('n.' + new.position)} IS DISTINCT FROM {exact_text('o.' + old.position)}"
    if is_exact(new.type):
        return _float_differs(new.value("n"), new.type, f"o.{old.position}")
    if is_exact(old.type):
        return _float_differs(old.value("o"), old.type, f"n.{new.position}")
    return f"CAST(n.{new.position} AS DOUBLE) IS DISTINCT FROM CAST(o.{old.position} AS DOUBLE)"


def _float_differs(exact: str, exact_type: str, floating: str) -> str:
    """Return whether an exact number and a float are two values: they are one when each is what the other becomes in its type."""
    double = f"CAST({floating} AS DOUBLE)"
    # Through text as well: DuckDB's own casts between doubles and long decimals are off by a little.
    to_double = f"TRY_CAST(CAST({exact} AS VARCHAR) AS DOUBLE) = {double}"
    to_exact = " OR ".join(f"TRY_CAST({value} AS {exact_type}) = {exact}" for value in (double, f"CAST({double} AS VARCHAR)"))
    one = f"{to_double} AND ({to_exact})"
    return f"NOT coalesce({one}, {exact} IS NULL AND {double} IS NULL)"


def exact_text(value: str) -> str:
    """Return the text of an integer or decimal without the zeros that only its type writes: two are equal when these are."""
    text = f"CAST({value} AS VARCHAR)"
    return f"regexp_replace(rtrim(CASE WHEN contains({text}, '.') THEN {text} ELSE {text} || '.' END, '0'), '^(-?)0?\\.', '\\1.')"
