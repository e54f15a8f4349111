"""The SQL of snapshots that are kept as patches of earlier ones: how a patch is made, and what is read from it.

A patch lies upon a whole snapshot. It has the rows that differ from those, in the same columns, and beside them `present` (false: the key
has left) and `step`: how the row changed since the snapshot before, null where it had changed earlier. It is made in three queries:
`candidates_query` finds the keys to look at, `difference_query` what is new among them, `patch_query` adds what the patch before it had.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dinmo_pipeline.sync.changes import removed_columns, removed_values, sent_values
from dinmo_pipeline.sync.contract import Contract
from dinmo_pipeline.sync.export import Comparison
from dinmo_pipeline.sync.stored import StoredColumn, key_order, key_positions, same_stored_key, source_values, stored_columns, stored_values

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


def may_be_patched(contract: Contract, earlier: Contract) -> bool:
    """Whether a snapshot under `contract` can be a patch of one under `earlier`: both hold the same columns."""
    return stored_columns(contract) == stored_columns(earlier) and not contract.widens(earlier)


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

    now = side(source_values(contract, "t"), f"{table} AS t", "true AS present")
    present = "s.present" if contract.keeps_gone_keys else "true AS present"
    before = side(stored_values(contract, "s"), f"{earlier} AS s", present)
    return f"SELECT {keys} FROM {now} AS n FULL JOIN {before} AS o ON {same_stored_key(contract, 'n', 'o')} WHERE {_is_news(differs)}"


def difference_query(contract: Contract, table: str, earlier: str, candidates: str) -> str:
    """The rows of a patch that are new since `earlier`, the SQL of a snapshot with the same columns; only `candidates` can be."""
    stored = stored_columns(contract)
    others = stored[len(contract.key) :]
    now, before = source_values(contract, "t"), stored_values(contract, "s")
    differs = " OR ".join(f"n.{column.position} IS DISTINCT FROM o.{column.position}" for column in others) or "false"
    chosen = same_stored_key(contract, "c", "k")
    # Where the keys of rows that left are kept, what these said is not.
    gone = {column: "NULL" if contract.keeps_gone_keys and column in others else f"o.{column.position}" for column in stored}
    values = [f"CASE WHEN n.present THEN n.{column.position} ELSE {gone[column]} END AS {column.position}" for column in stored]
    steps = f"WHEN o.present IS NULL THEN '{ADDED}' WHEN n.present IS NULL THEN '{GONE}' WHEN o.present THEN '{UPDATED}' ELSE '{BACK}'"
    present = "s.present" if contract.keeps_gone_keys else "true AS present"
    return (
        f"SELECT {', '.join(values)}, n.present IS NOT NULL AS present, CASE {steps} END AS step "
        f"FROM (SELECT * FROM (SELECT {now}, true AS present FROM {table} AS t) AS c SEMI JOIN {candidates} AS k ON {chosen}) AS n "
        f"FULL JOIN (SELECT * FROM (SELECT {before}, {present} FROM {earlier} AS s) AS c SEMI JOIN {candidates} AS k ON {chosen}) AS o "
        f"ON {same_stored_key(contract, 'n', 'o')} WHERE {_is_news(differs)}"
    )


def steps_query(difference: str) -> str:
    """How many rows of a patch are new, gone and back since the snapshot before."""
    counts = (f"count(*) FILTER (step = '{step}')" for step in (ADDED, GONE, BACK))
    return f"SELECT {', '.join(counts)} FROM {difference}"


def patch_query(contract: Contract, difference: str, earlier_patch: str | None) -> str:
    """The rows of a patch: `difference`, and what `earlier_patch` of the same whole snapshot has beside it."""
    if earlier_patch is None:
        return f"SELECT * FROM {difference}"
    return (
        f"SELECT * FROM {difference} UNION ALL SELECT {stored_values(contract, 'p')}, p.present, NULL FROM {earlier_patch} AS p "
        f"ANTI JOIN {difference} AS d ON {same_stored_key(contract, 'p', 'd')}"
    )


def patched_table(contract: Contract, whole: str, patch: str) -> str:
    """SQL for the rows of a snapshot that is a patch, as a whole one would hold them."""
    names = ", ".join(column.position for column in stored_columns(contract))
    present, where = (", present", "") if contract.keeps_gone_keys else ("", " WHERE p.present")
    return (
        f"(SELECT {names}{present} FROM {whole} AS w ANTI JOIN {patch} AS p ON {same_stored_key(contract, 'w', 'p')} "
        f"UNION ALL SELECT {stored_values(contract, 'p')}{present} FROM {patch} AS p{where})"
    )


def changed_in_patch_query(comparison: Comparison, patch: str) -> str:
    """What `changed_query` gives, from a patch that was made since the same snapshot."""
    contract = comparison.contract
    steps = f"('{ADDED}', '{UPDATED}')" if contract.sends_updates else f"('{ADDED}')"
    return (
        f"SELECT {sent_values(contract, 'n')}, n.step = '{ADDED}' AS is_added FROM {patch} AS n WHERE n.step IN {steps} "
        f"ORDER BY {key_order(contract, 'n')}"
    )


def removed_in_patch_query(comparison: Comparison, patch: str) -> str:
    """What `removed_query` gives, from a patch that was made since the same snapshot."""
    contract = comparison.contract
    return (
        f"SELECT {removed_values(contract, contract, removed_columns(comparison))} FROM {patch} AS o WHERE o.step = '{GONE}' "
        f"ORDER BY {key_order(contract, 'o')}"
    )


def _is_news(differs: str) -> str:
    """Whether a row of today (`n`) or of a snapshot (`o`) belongs into a patch; `present` is false for a key that insert keeps."""
    return f"o.present IS NULL OR (n.present IS NULL AND o.present) OR (n.present AND (NOT o.present OR {differs}))"


def _hash_of(columns: Sequence[StoredColumn]) -> str:
    """A number for the values of these columns. Which are null counts by itself: null has the hash of some value."""
    if not columns:
        return "0"
    positions = [column.position for column in columns]
    return f"hash({', '.join([*positions, *(f'{position} IS NULL' for position in positions)])})"
