"""The SQL of snapshots that are kept as patches of earlier ones: how a patch is made, and what is read from it.

A patch lies upon a whole snapshot. It has the rows that differ from those, in the same columns, and beside them `present` (false: the key
has left) and `step`: how the row changed since the snapshot before, null where it had changed earlier. It is made in two queries:
`difference_query` finds what is new since the snapshot before, `patch_query` adds what the patch before it had.
"""

from __future__ import annotations

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.export import Comparison
from dinmo_pipeline.engines.duckdb.differences.diff_sql import removed_columns, removed_values, sent_values
from dinmo_pipeline.engines.duckdb.snapshot_schema import key_order, same_stored_key, source_values, stored_columns, stored_values

DIFFERENCE = "difference"
"""The table that holds the result of `difference_query`."""

ADDED, UPDATED, GONE, BACK = "added", "updated", "gone", "back"
"""The steps of a patch; a key is back when it had left and insert had kept it."""

FORGOTTEN = "forgotten"
"""The step of a row of which the key alone is kept, until the next delivery has told it as removed."""


def may_be_patched(contract: Contract, earlier: Contract) -> bool:
    """Return whether a snapshot under `contract` can be a patch of one under `earlier`: both hold the same columns."""
    return stored_columns(contract) == stored_columns(earlier) and not contract.widens(earlier)


def difference_query(contract: Contract, table: str, earlier: str, keys: str = "true") -> str:
    """Return the rows of a patch that are new since `earlier`, the SQL of a snapshot with the same columns.

    `keys` is a condition on the stored key: of other rows nothing is said. Values are compared themselves, never by a hash: DuckDB's
    collides, and collisions can be crafted.
    """
    stored = stored_columns(contract)
    others = stored[len(contract.key) :]
    now, before = source_values(contract, "t"), stored_values(contract, "s")
    differs = " OR ".join(f"n.{column.position} IS DISTINCT FROM o.{column.position}" for column in others) or "false"
    # Where the keys of rows that left are kept, what these said is not.
    gone = {column: "NULL" if contract.keeps_gone_keys and column in others else f"o.{column.position}" for column in stored}
    values = [f"CASE WHEN n.present THEN n.{column.position} ELSE {gone[column]} END AS {column.position}" for column in stored]
    steps = f"WHEN o.present IS NULL THEN '{ADDED}' WHEN n.present IS NULL THEN '{GONE}' WHEN o.present THEN '{UPDATED}' ELSE '{BACK}'"
    present = "s.present" if contract.keeps_gone_keys else "true AS present"
    return (
        f"SELECT {', '.join(values)}, n.present IS NOT NULL AS present, CASE {steps} END AS step "
        f"FROM (SELECT * FROM (SELECT {now}, true AS present FROM {table} AS t) WHERE {keys}) AS n "
        f"FULL JOIN (SELECT * FROM (SELECT {before}, {present} FROM {earlier} AS s) WHERE {keys}) AS o "
        f"ON {same_stored_key(contract, 'n', 'o')} WHERE {_is_news(differs)}"
    )


def steps_query(difference: str) -> str:
    """Return how many rows of a patch are new, gone and back since the snapshot before."""
    counts = (f"count(*) FILTER (step = '{step}')" for step in (ADDED, GONE, BACK))
    return f"SELECT {', '.join(counts)} FROM {difference}"


def patch_query(contract: Contract, difference: str, earlier_patch: str | None) -> str:
    """Return the rows of a patch: `difference`, and what `earlier_patch` of the same whole snapshot has beside it."""
    if earlier_patch is None:
        return f"SELECT * FROM {difference}"
    return (
        f"SELECT * FROM {difference} UNION ALL SELECT {stored_values(contract, 'p')}, p.present, NULL FROM {earlier_patch} AS p "
        f"ANTI JOIN {difference} AS d ON {same_stored_key(contract, 'p', 'd')}"
    )


def patched_table(contract: Contract, whole: str, patch: str) -> str:
    """Return SQL for the rows of a snapshot that is a patch, as a whole one would hold them."""
    names = ", ".join(column.position for column in stored_columns(contract))
    present, where = (", present", "") if contract.keeps_gone_keys else ("", " WHERE p.present")
    return (
        f"(SELECT {names}{present} FROM {whole} AS w ANTI JOIN {patch} AS p ON {same_stored_key(contract, 'w', 'p')} "
        f"UNION ALL SELECT {stored_values(contract, 'p')}{present} FROM {patch} AS p{where})"
    )


def changed_in_patch_query(comparison: Comparison, patch: str) -> str:
    """Return what `changed_query` gives, from a patch that was made since the same snapshot."""
    contract = comparison.contract
    steps = f"('{ADDED}', '{UPDATED}')" if contract.sends_updates else f"('{ADDED}')"
    return (
        f"SELECT {sent_values(contract, 'n')}, n.step = '{ADDED}' AS is_added FROM {patch} AS n WHERE n.step IN {steps} "
        f"ORDER BY {key_order(contract, 'n')}"
    )


def removed_in_patch_query(comparison: Comparison, patch: str) -> str:
    """Return what `removed_query` gives, from a patch that was made since the same snapshot."""
    contract = comparison.contract
    return (
        f"SELECT {removed_values(contract, contract, removed_columns(comparison))} FROM {patch} AS o WHERE o.step = '{GONE}' "
        f"ORDER BY {key_order(contract, 'o')}"
    )


def _is_news(differs: str) -> str:
    """Return whether a row of today (`n`) or of a snapshot (`o`) belongs into a patch; `present` is false for a key that insert keeps."""
    return f"o.present IS NULL OR (n.present IS NULL AND o.present) OR (n.present AND (NOT o.present OR {differs}))"
