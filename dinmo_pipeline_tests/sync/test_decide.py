"""The decision of a sync as a truth table: what lies before it, and what it is to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dinmo_pipeline.delta.contract import Contract, KeyColumn, SentColumn
from dinmo_pipeline.delta.export import Comparison, Counts, Export, Place, Snapshot
from dinmo_pipeline.project.specs import RunType, SyncMode
from dinmo_pipeline.sync.decide import Decision, Delta, Full, Refuse, RollForward, decide, decide_start
from dinmo_pipeline.sync.ledger.state import State, SyncRecord

NOW = datetime(2025, 1, 1, tzinfo=UTC)
DIFFERENCE = Contract(
    source="models.people",
    key=(KeyColumn("id", "INTEGER"),),
    run_type=RunType.FULL_THEN_DELTA,
    sync_mode=SyncMode.DIFFERENCE,
    address="file:out/people",
    columns=(SentColumn("id", "id", "INTEGER"),),
)
UPSERT = replace(DIFFERENCE, sync_mode=SyncMode.UPSERT)
FULL_ONLY = replace(DIFFERENCE, run_type=RunType.FULL_ONLY, sync_mode=SyncMode.SNAPSHOT)
MOVED = replace(DIFFERENCE, address="file:elsewhere/people")


def snapshot(number: int, contract: Contract = DIFFERENCE) -> Snapshot:
    return Snapshot(f"snapshots/{number:06}.parquet", "0" * 64, 3, contract)


def export(number: int, contract: Contract = DIFFERENCE) -> Export:
    return Export(
        number=number,
        instant=NOW,
        timezone="UTC",
        comparison=Comparison(contract, snapshot(number, contract), None),
        removed_key_only=False,
        base=None,
        reason="",
        counts=Counts(rows=3),
        place=Place("out", contract.address),
        folder="people",
        format_options={"type": "csv"},
        puts=(),
    )


def sync(number: int, contract: Contract = DIFFERENCE, **known: Any) -> SyncRecord:
    """A sync that has begun and whose rows are kept."""
    return SyncRecord(number, f"day {number}", NOW, NOW, **{"snapshot": snapshot(number, contract), **known})


def delivered(number: int, contract: Contract = DIFFERENCE) -> SyncRecord:
    exports = (export(number, contract),)
    return sync(number, contract, attempts=exports, shown=exports, intent_at=NOW, delivered_at=NOW)


def interrupted(number: int, contract: Contract = DIFFERENCE) -> SyncRecord:
    """A sync of which a consumer may have seen a part."""
    return replace(delivered(number, contract), delivered_at=None)


def after(*syncs: SyncRecord, **known: Any) -> State:
    return State({each.number: each for each in syncs}, **known)


@pytest.mark.parametrize(
    ("state", "asked", "contract", "expected"),
    [
        pytest.param(after(), sync(1), DIFFERENCE, Full("the first sync"), id="first"),
        pytest.param(after(delivered(1)), sync(2, base=1), DIFFERENCE, Delta(1, snapshot(1)), id="delta"),
        pytest.param(after(delivered(1), sync(2)), sync(3, base=1), DIFFERENCE, Delta(1, snapshot(1)), id="one failed in between"),
        pytest.param(after(delivered(1)), sync(2), FULL_ONLY, Full("full_only sends every row"), id="full_only"),
        pytest.param(after(delivered(1)), sync(2), MOVED, Full("changed address"), id="another promise"),
        pytest.param(after(delivered(1)), delivered(1), DIFFERENCE, "is delivered already", id="delivered already"),
        pytest.param(after(delivered(3)), sync(2, base=1), DIFFERENCE, "is superseded", id="a newer one was delivered"),
        pytest.param(after(delivered(1)), sync(2), DIFFERENCE, "after sync 2 had taken its rows", id="the base is another one"),
        pytest.param(after(used=2), sync(2), DIFFERENCE, "restored from an older backup", id="number of a lost sync"),
        pytest.param(after(delivered(1), interrupted(2)), sync(3, base=1), DIFFERENCE, RollForward(2), id="open intent"),
        pytest.param(
            after(delivered(1), interrupted(2)),
            sync(3, base=1, full=True),
            DIFFERENCE,
            Full("every row was asked for", delivered(1), (snapshot(1), snapshot(2))),
            id="--full closes an open intent and removes what either may have shown",
        ),
        pytest.param(
            after(delivered(1), interrupted(2, MOVED)),
            sync(3, full=True),
            DIFFERENCE,
            Full("every row was asked for", None, ()),
            id="--full after one interrupted under another promise",
        ),
        pytest.param(
            after(delivered(1, UPSERT)),
            sync(2, UPSERT, base=1, full=True),
            UPSERT,
            Full("every row was asked for", delivered(1, UPSERT), ()),
            id="--full of upsert tells of no row that left",
        ),
        pytest.param(
            after(delivered(1), redelivering=(1,), redelivery=(1,)), sync(2, base=1), DIFFERENCE, "delivered once more", id="redelivery"
        ),
        pytest.param(
            after(delivered(1), redelivering=(1,), redelivery=(1,)),
            sync(2, base=1, full=True),
            DIFFERENCE,
            Full("every row was asked for", delivered(1), (snapshot(1), snapshot(1))),
            id="--full closes a redelivery",
        ),
        pytest.param(
            after(delivered(1), is_outdated=True),
            sync(2, base=1),
            DIFFERENCE,
            Full("the log was restored from a backup that is older than the last delivery", delivered(1), (snapshot(1),)),
            id="restored from a backup",
        ),
    ],
)
def test_what_a_sync_does(state: State, asked: SyncRecord, contract: Contract, expected: Decision | str) -> None:
    decision = decide(state, asked, contract)
    if isinstance(expected, str):
        assert isinstance(decision, Refuse)
        assert expected in decision.reason
    else:
        assert decision == expected


def test_missing_file_makes_a_delta_full_where_that_is_asked_for() -> None:
    decision = decide(after(delivered(1)), sync(2, base=1), DIFFERENCE, files_missing=True)
    assert decision == Full("a file of the last delivery is no longer there", delivered(1), (snapshot(1),))


@pytest.mark.parametrize(
    ("state", "run_type", "full", "expected"),
    [
        (after(), RunType.FULL_THEN_DELTA, False, None),
        (after(delivered(1)), RunType.FULL_THEN_DELTA, False, None),
        (after(delivered(1), interrupted(2)), RunType.FULL_THEN_DELTA, False, RollForward(2)),
        (after(delivered(1), interrupted(2)), RunType.FULL_THEN_DELTA, True, None),
        (after(delivered(1), interrupted(2)), RunType.FULL_ONLY, False, None),
        (after(delivered(1), interrupted(2, FULL_ONLY)), RunType.FULL_THEN_DELTA, False, None),
    ],
)
def test_what_comes_before_a_new_sync(state: State, run_type: RunType, full: bool, expected: RollForward | None) -> None:
    assert decide_start(state, run_type=run_type, full=full) == expected
