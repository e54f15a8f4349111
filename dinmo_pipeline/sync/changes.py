"""The SQL of snapshots and of what changed between two of them, built from names and types alone.

A snapshot's Parquet file has the columns `c0`, `c1`, …: the key, then every other attribute that is sent, each once. Types
that Parquet does not hold exactly are kept as text there. Insert's has `present` beside them: false for a key that was sent and has left.

A patch has the rows that differ from those of a whole snapshot, `present` (false: the key has left) and `step`: how the row changed since
the snapshot before, null where it had changed earlier.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dinmo_pipeline.errors import DataError
from dinmo_pipeline.formats.contract import Column
from dinmo_pipeline.formats.duck_types import parse_type
from dinmo_pipeline.project.specs import SyncMode
from dinmo_pipeline.sync.contract import Contract, KeyColumn, SentColumn, is_exact, same_or_numbers
from dinmo_pipeline.sync.export import Change, Comparison, Snapshot
from dinmo_pipeline.warehouse.identifiers import folded, quote_identifier, quote_literal
from dinmo_pipeline.warehouse.tables import shown_text

CHANGED = "changed"
REMOVED = "removed"
"""The tables that hold the results of `changed_query` and `removed_query`, in the order of the key."""

CANDIDATES = "candidates"
DIFFERENCE = "difference"
"""The tables that hold the results of `candidates_query` and `difference_query`."""

ADDED, UPDATED, GONE, BACK = "added", "updated", "gone", "back"
"""The steps of a patch; a key is back when it had left and insert had kept it."""

# Types whose values differ when their hashes do, and the reverse but for one pair in 2^64. Of nested ones null and nothing have one hash.
_HASHED = re.compile(
    r"U?(?:TINYINT|SMALLINT|INTEGER|BIGINT)|DECIMAL\(\d+,\s?\d+\)|FLOAT|DOUBLE|BOOLEAN|DATE|TIME|TIMESTAMP(?:_S|_MS|_NS| WITH TIME ZONE)?"
    r"|VARCHAR|BLOB|UUID"
)
_AS_TEXT = re.compile(
    r"""(?P<quoted>"(?:[^"]|"")*")"""
    r"""|ENUM\('(?:[^']|'')*'(?:, '(?:[^']|'')*')*\)"""
    r"""|(?P<size>\[\d+\])"""
    r"""|\b(?:HUGEINT|UHUGEINT|BIGNUM|BIT|INTERVAL|TIME WITH TIME ZONE)\b"""
)


@dataclass(frozen=True)
class Stored:
    """A column of the snapshot: where it stands there, the source's attribute, its type, and the type that the file has."""

    position: str
    attribute: str
    type: str
    file_type: str

    def value(self, alias: str) -> str:
        """SQL for the value as the source had it: some types that Parquet holds exactly are read back as a wider one."""
        return f"CAST({alias}.{self.position} AS {self.type})"


def stored_columns(contract: Contract) -> tuple[Stored, ...]:
    """The snapshot's columns: the key first. DataError for a type that a snapshot cannot hold."""
    columns: tuple[KeyColumn | SentColumn, ...] = (*contract.key, *contract.columns)
    types = {folded(column.attribute): (column.attribute, column.type) for column in columns}
    return tuple(
        Stored(f"c{index}", attribute, type_text, _file_type(attribute, type_text))
        for index, (attribute, type_text) in enumerate(types.values())
    )


def snapshot_query(contract: Contract, table: str, carried: tuple[Contract, str] | None) -> str:
    """The rows of `table`; with the keys in `carried` (an earlier snapshot's contract and its SQL) that are no longer among them."""
    stored = stored_columns(contract)
    query = f"SELECT {', '.join(_now('t', column) for column in stored)} FROM {table} AS t"
    if contract.sync_mode != SyncMode.INSERT:
        return query
    query = f"SELECT *, true AS present FROM ({query})"
    if carried is None:
        return query
    earlier, carried_from = carried
    keys = list(zip(stored, stored_columns(earlier), strict=False))[: len(contract.key)]
    values = [f"CAST({_narrowed(new, old)} AS {new.file_type})" for new, old in keys]
    nothing = [f"CAST(NULL AS {column.file_type})" for column in stored[len(keys) :]]
    # A key that today's type cannot hold cannot come back either.
    fits = " AND ".join(f"{_narrowed(new, old)} IS NOT NULL" for new, old in keys)
    return (
        f"WITH n AS ({query}) SELECT * FROM n UNION ALL SELECT {', '.join([*values, *nothing, 'false'])} FROM {carried_from} AS o "
        f"ANTI JOIN n ON {_same_key(contract, earlier)} WHERE {fits}"
    )


def may_be_patched(contract: Contract, earlier: Contract) -> bool:
    """Whether a snapshot under `contract` can be a patch of one under `earlier`: both hold the same columns."""
    return stored_columns(contract) == stored_columns(earlier) and not contract.widens(earlier)


def patched_table(contract: Contract, whole: str, patch: str) -> str:
    """SQL for the rows of a snapshot that is a patch, as a whole one would hold them."""
    keeps_keys = contract.sync_mode == SyncMode.INSERT
    stored = stored_columns(contract)
    names = ", ".join([*(column.position for column in stored), *(["present"] if keeps_keys else [])])
    values = ", ".join([*(f"{_kept('p', column)} AS {column.position}" for column in stored), *(["present"] if keeps_keys else [])])
    where = "" if keeps_keys else " WHERE p.present"
    return (
        f"(SELECT {names} FROM {whole} AS w ANTI JOIN {patch} AS p ON {_same_stored_key(contract, 'w', 'p')} "
        f"UNION ALL SELECT {values} FROM {patch} AS p{where})"
    )


def candidates_query(contract: Contract, table: str, earlier: str) -> str:
    """The keys that `difference_query` has to look at: of rows that came, left, or whose values have another hash than in `earlier`.

    So the join of all rows holds a number for each instead of its values.
    """
    stored = stored_columns(contract)
    others = stored[len(contract.key) :]
    kept = [column for column in others if not _HASHED.fullmatch(column.file_type)]
    hashed = [column for column in others if column not in kept]
    differs = " OR ".join(f"n.{name} IS DISTINCT FROM o.{name}" for name in (*(column.position for column in kept), "hashed"))
    keys = ", ".join(f"coalesce(n.{position}, o.{position}) AS {position}" for position in key_positions(contract))

    def side(values: str, place: str, present: str) -> str:
        names = [column.position for column in (*stored[: len(contract.key)], *kept)]
        return f"(SELECT {', '.join(names)}, {_hash_of(hashed)} AS hashed, present FROM (SELECT {values}, {present} FROM {place}))"

    now = side(", ".join(_now("t", column) for column in stored), f"{table} AS t", "true AS present")
    values = ", ".join(f"{_kept('s', column)} AS {column.position}" for column in stored)
    before = side(values, f"{earlier} AS s", "s.present" if contract.sync_mode == SyncMode.INSERT else "true AS present")
    return f"SELECT {keys} FROM {now} AS n FULL JOIN {before} AS o ON {_same_stored_key(contract, 'n', 'o')} WHERE {_is_news(differs)}"


def difference_query(contract: Contract, table: str, earlier: str, candidates: str) -> str:
    """The rows of a patch that are new since `earlier`, the SQL of a snapshot with the same columns; only `candidates` can be."""
    stored = stored_columns(contract)
    others = stored[len(contract.key) :]
    is_insert = contract.sync_mode == SyncMode.INSERT
    now = ", ".join(_now("t", column) for column in stored)
    before = ", ".join(f"{_kept('s', column)} AS {column.position}" for column in stored)
    differs = " OR ".join(f"n.{column.position} IS DISTINCT FROM o.{column.position}" for column in others) or "false"
    chosen = _same_stored_key(contract, "c", "k")
    # Insert keeps the keys of rows that left, not what they said.
    gone = {column: "NULL" if is_insert and column in others else f"o.{column.position}" for column in stored}
    values = [f"CASE WHEN n.present THEN n.{column.position} ELSE {gone[column]} END AS {column.position}" for column in stored]
    steps = f"WHEN o.present IS NULL THEN '{ADDED}' WHEN n.present IS NULL THEN '{GONE}' WHEN o.present THEN '{UPDATED}' ELSE '{BACK}'"
    present = "s.present" if is_insert else "true AS present"
    return (
        f"SELECT {', '.join(values)}, n.present IS NOT NULL AS present, CASE {steps} END AS step "
        f"FROM (SELECT * FROM (SELECT {now}, true AS present FROM {table} AS t) AS c SEMI JOIN {candidates} AS k ON {chosen}) AS n "
        f"FULL JOIN (SELECT * FROM (SELECT {before}, {present} FROM {earlier} AS s) AS c SEMI JOIN {candidates} AS k ON {chosen}) AS o "
        f"ON {_same_stored_key(contract, 'n', 'o')} WHERE {_is_news(differs)}"
    )


def patch_query(contract: Contract, difference: str, earlier_patch: str | None) -> str:
    """The rows of a patch: `difference`, and what `earlier_patch` of the same whole snapshot has beside it."""
    if earlier_patch is None:
        return f"SELECT * FROM {difference}"
    values = ", ".join(f"{_kept('p', column)} AS {column.position}" for column in stored_columns(contract))
    return (
        f"SELECT * FROM {difference} UNION ALL SELECT {values}, p.present, NULL FROM {earlier_patch} AS p "
        f"ANTI JOIN {difference} AS d ON {_same_stored_key(contract, 'p', 'd')}"
    )


def key_positions(contract: Contract) -> tuple[str, ...]:
    """The columns of a snapshot that are its key."""
    return tuple(column.position for column in stored_columns(contract)[: len(contract.key)])


def steps_query(difference: str) -> str:
    """How many rows a patch has, and how many of them are new, gone and back since the snapshot before."""
    counts = (f"count(*) FILTER (step = '{step}')" for step in (ADDED, GONE, BACK))
    return f"SELECT count(*), {', '.join(counts)} FROM {difference}"


def null_keys_query(key: Sequence[str], table: str) -> str:
    """How many rows of `table` have a null in the columns `key` (SQL)."""
    return f"SELECT count(*) FROM {table} WHERE {' OR '.join(f'{column} IS NULL' for column in key)}"


def ascending_keys_query(key: Sequence[str], table: str) -> str:
    """Whether each row of `table` has a larger key than the row before it, so that no key repeats; none is null."""
    value = key[0] if len(key) == 1 else f"row({', '.join(key)})"
    # One row has none before it: were there more, they would be starts of several sequences.
    return (
        "SELECT count(*) FILTER (before IS NULL) < 2 AND coalesce(bool_and(before < value), true) "
        f"FROM (SELECT {value} AS value, lag({value}) OVER () AS before FROM {table})"
    )


def distinct_keys_query(key: Sequence[str], table: str) -> str:
    """How many keys `table` has."""
    return f"SELECT count(*) FROM (SELECT 1 FROM {table} GROUP BY {', '.join(key)})"


def repeated_keys_query(key: Sequence[str], table: str, limit: int) -> str:
    """Keys that more than one row of `table` has: their text and how many rows, the first `limit` of them."""
    text = " || ', ' || ".join(map(shown_text, key))
    return f"SELECT any_value({text}), count(*) FROM {table} GROUP BY {', '.join(key)} HAVING count(*) > 1 ORDER BY 1 LIMIT {limit}"


def all_rows_query(contract: Contract, snapshot: str, *, patched: bool) -> str:
    """Every row of the source as the columns `v0`, `v1`, … of a file, from a snapshot."""
    where = " WHERE n.present" if contract.sync_mode == SyncMode.INSERT else ""
    # One file has an order of its own, a patched one has not.
    order = f" ORDER BY {', '.join(f'n.{position}' for position in key_positions(contract))}" if patched else ""
    return f"SELECT {_sent_values(contract, 'n')} FROM {snapshot} AS n{where}{order}"


def table_rows_query(contract: Contract, table: str) -> str:
    """Every row of the source as the columns of a file, from the warehouse's table."""
    values = ", ".join(f"t.{quote_identifier(column.attribute)} AS v{index}" for index, column in enumerate(contract.columns))
    return f"SELECT {values} FROM {table} AS t"


def changed_query(comparison: Comparison, since: Snapshot, current: str, before: str) -> str:
    """The rows that are new or have another value since, as the columns of a file and `is_added`, in the order of the key.

    An inserted row is never updated: with insert these are the new ones alone.
    """
    contract, earlier = comparison.contract, since.contract
    is_added = "o.c0 IS NULL"
    present = "n.present AND " if contract.sync_mode == SyncMode.INSERT else ""
    differs = "false" if contract.sync_mode == SyncMode.INSERT else _differs(contract, earlier)
    order = ", ".join(f"n.{position}" for position in key_positions(contract))
    return (
        f"SELECT {_sent_values(contract, 'n')}, {is_added} AS is_added FROM {current} AS n LEFT JOIN {before} AS o "
        f"ON {_same_key(contract, earlier)} WHERE {present}({is_added} OR {differs}) ORDER BY {order}"
    )


def changed_in_patch_query(comparison: Comparison, patch: str) -> str:
    """What `changed_query` gives, from a patch that was made since the same snapshot."""
    contract = comparison.contract
    steps = f"('{ADDED}')" if contract.sync_mode == SyncMode.INSERT else f"('{ADDED}', '{UPDATED}')"
    return (
        f"SELECT {_sent_values(contract, 'n')}, n.step = '{ADDED}' AS is_added FROM {patch} AS n WHERE n.step IN {steps} "
        f"ORDER BY {', '.join(f'n.{position}' for position in key_positions(contract))}"
    )


def removed_in_patch_query(comparison: Comparison, patch: str) -> str:
    """What `removed_query` gives, from a patch that was made since the same snapshot."""
    contract = comparison.contract
    return (
        f"SELECT {_removed_values(contract, contract, removed_columns(comparison))} FROM {patch} AS o WHERE o.step = '{GONE}' "
        f"ORDER BY {', '.join(f'o.{position}' for position in key_positions(contract))}"
    )


def removed_query(comparison: Comparison, current: str, before: Sequence[str]) -> str:
    """The rows of the earlier snapshots that are not in `current`, with the values of the first that has them, in the order of the key."""
    contract = comparison.contract
    columns = removed_columns(comparison)
    key_types = {tuple(column.type for column in snapshot.contract.key) for snapshot in comparison.gone_since}
    selects = []
    for index, (snapshot, place) in enumerate(zip(comparison.gone_since, before, strict=True)):
        earlier = snapshot.contract
        positions = [f"o.c{number}" if len(key_types) == 1 else f"CAST(o.c{number} AS VARCHAR)" for number in range(len(contract.key))]
        order = ", ".join(f"{position} AS k{number}" for number, position in enumerate(positions))
        joins = f" ANTI JOIN {current} AS n ON {_same_key(contract, earlier)}"
        for first, first_place in zip(comparison.gone_since[:index], before[:index], strict=True):
            joins += f" ANTI JOIN {first_place} AS n ON {_same_key(first.contract, earlier)}"
        selects.append(f"SELECT {_removed_values(contract, earlier, columns)}, {order} FROM {place} AS o{joins}")
    names = ", ".join(f"v{index}" for index in range(len(columns)))
    keys = ", ".join(f"k{number}" for number in range(len(contract.key)))
    return f"SELECT {names} FROM ({' UNION ALL '.join(selects)}) ORDER BY {keys}"


def removed_columns(comparison: Comparison) -> tuple[Column, ...]:
    """The columns of `_removed`: today's names, the types of the values last delivered; text where those differ among themselves."""
    columns = []
    before = [_by_attribute(snapshot.contract) for snapshot in comparison.gone_since]
    for column in comparison.contract.columns:
        types = {stored[folded(column.attribute)].type for stored in before if folded(column.attribute) in stored}
        columns.append(Column(column.name, types.pop() if len(types) == 1 else "VARCHAR" if types else column.type))
    return tuple(columns)


def file_columns(comparison: Comparison, change: Change) -> tuple[Column, ...]:
    """The columns of the file that holds `change`."""
    if change == Change.REMOVED and comparison.gone_since:
        return removed_columns(comparison)
    return tuple(Column(column.name, column.type) for column in comparison.contract.columns)


def parquet_table(local_path: str) -> str:
    """SQL that reads exactly this Parquet file, whatever characters its path has."""
    escaped = re.sub(r"([*?\[])", r"[\1]", local_path)
    return f"read_parquet({quote_literal(escaped)})"


def _file_type(attribute: str, type_text: str) -> str:
    if any(part.kind in ("UNION", "TUPLE") for part in parse_type(type_text).walk()):
        raise DataError(
            f"taking the snapshot: column {attribute} is a {type_text}, which a snapshot cannot hold; "
            "make it a STRUCT, a list or text in the model's query"
        )
    # DuckDB writes an array that is null in a way that not every reader of Parquet takes; a list it does not.
    return _AS_TEXT.sub(lambda match: match["quoted"] or ("[]" if match["size"] else "VARCHAR"), type_text)


def _cast(value: str, type_text: str, wanted: str) -> str:
    return value if type_text == wanted else f"CAST({value} AS {wanted})"


def _now(alias: str, column: Stored) -> str:
    """A column of the source as the snapshot has it."""
    return _cast(f"{alias}.{quote_identifier(column.attribute)}", column.type, column.file_type) + f" AS {column.position}"


def _kept(alias: str, column: Stored) -> str:
    """A column of a snapshot in the very type that was written: some are read back as a wider one."""
    return f"CAST({alias}.{column.position} AS {column.file_type})"


def _is_news(differs: str) -> str:
    """Whether a row of today (`n`) or of a snapshot (`o`) belongs into a patch; `present` is false for a key that insert keeps."""
    return f"o.present IS NULL OR (n.present IS NULL AND o.present) OR (n.present AND (NOT o.present OR {differs}))"


def _hash_of(columns: Sequence[Stored]) -> str:
    """A number for the values of these columns. Which are null counts by itself: null has the hash of some value."""
    if not columns:
        return "0"
    positions = [column.position for column in columns]
    return f"hash({', '.join([*positions, *(f'{position} IS NULL' for position in positions)])})"


def _same_stored_key(contract: Contract, one: str, other: str) -> str:
    return " AND ".join(f"{one}.{position} = {other}.{position}" for position in key_positions(contract))


def _by_attribute(contract: Contract) -> dict[str, Stored]:
    return {folded(column.attribute): column for column in stored_columns(contract)}


def _sent_values(contract: Contract, alias: str) -> str:
    stored = _by_attribute(contract)
    return ", ".join(f"{stored[folded(column.attribute)].value(alias)} AS v{index}" for index, column in enumerate(contract.columns))


def _removed_values(contract: Contract, earlier: Contract, columns: Sequence[Column]) -> str:
    stored = _by_attribute(earlier)
    values = []
    for index, (column, wanted) in enumerate(zip(contract.columns, columns, strict=True)):
        found = stored.get(folded(column.attribute))
        value = f"CAST(NULL AS {wanted.type})" if found is None else _cast(found.value("o"), found.type, wanted.type)
        values.append(f"{value} AS v{index}")
    return ", ".join(values)


def _same_key(contract: Contract, earlier: Contract) -> str:
    pairs = zip(stored_columns(contract)[: len(contract.key)], stored_columns(earlier)[: len(earlier.key)], strict=True)
    return " AND ".join(_equal(new, old) for new, old in pairs)


def _equal(new: Stored, old: Stored) -> str:
    if new.type == old.type:
        return f"n.{new.position} = o.{old.position}"
    return f"{_exact_text('n.' + new.position)} = {_exact_text('o.' + old.position)}"


def _narrowed(new: Stored, old: Stored) -> str:
    """An earlier key in today's type; null when it has no place there."""
    value = old.value("o")
    if new.type == old.type:
        return value
    narrowed = f"TRY_CAST({value} AS {new.type})"
    return f"CASE WHEN {_exact_text(narrowed)} = {_exact_text(value)} THEN {narrowed} END"


def _differs(contract: Contract, earlier: Contract) -> str:
    """Whether a row has to be sent again; both sides as the files hold them, where unlike intervals and exact numbers are unlike texts."""
    if contract.widens(earlier):
        return "true"
    now, before = _by_attribute(contract), _by_attribute(earlier)
    # What is unmapped or dropped does not count; a key that is equal has no other value.
    compared: list[SentColumn] = [column for column in contract.columns if folded(column.attribute) in before]
    tests = [_distinct(now[folded(column.attribute)], before[folded(column.attribute)]) for column in compared]
    return f"({' OR '.join(tests)})" if tests else "false"


def _distinct(new: Stored, old: Stored) -> str:
    if new.type == old.type or not same_or_numbers(new.type, old.type):
        return f"n.{new.position} IS DISTINCT FROM o.{old.position}"
    if is_exact(new.type) and is_exact(old.type):
        return f"{_exact_text('n.' + new.position)} IS DISTINCT FROM {_exact_text('o.' + old.position)}"
    if is_exact(new.type):
        return _float_differs(new.value("n"), new.type, f"o.{old.position}")
    if is_exact(old.type):
        return _float_differs(old.value("o"), old.type, f"n.{new.position}")
    return f"CAST(n.{new.position} AS DOUBLE) IS DISTINCT FROM CAST(o.{old.position} AS DOUBLE)"


def _float_differs(exact: str, exact_type: str, floating: str) -> str:
    """Whether an exact number and a float are two values: they are one when each is what the other becomes in its type."""
    double = f"CAST({floating} AS DOUBLE)"
    # Through text as well: DuckDB's own casts between doubles and long decimals are off by a little.
    to_double = f"TRY_CAST(CAST({exact} AS VARCHAR) AS DOUBLE) = {double}"
    to_exact = " OR ".join(f"TRY_CAST({value} AS {exact_type}) = {exact}" for value in (double, f"CAST({double} AS VARCHAR)"))
    one = f"{to_double} AND ({to_exact})"
    return f"NOT coalesce({one}, {exact} IS NULL AND {double} IS NULL)"


def _exact_text(value: str) -> str:
    """The text of an integer or decimal without the zeros that only its type writes: two are equal when these are."""
    text = f"CAST({value} AS VARCHAR)"
    return f"regexp_replace(rtrim(CASE WHEN contains({text}, '.') THEN {text} ELSE {text} || '.' END, '0'), '^(-?)0?\\.', '\\1.')"
