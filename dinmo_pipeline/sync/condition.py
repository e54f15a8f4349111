"""How an activation is, as people are told: one pure function of its log and of its last failure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from dinmo_pipeline.sync.standing import Failure
from dinmo_pipeline.sync.state import State

Health = Literal["fine", "warning", "blocked", "failed"]
BLOCKED = "SyncBlocked"


@dataclass(frozen=True)
class Condition:
    """`mark` tells one condition from another: a change of it is told. Nothing here holds a customer's data."""

    health: Health
    mark: str
    since: datetime | None = None
    what: str = ""
    advice: str = ""
    run: str | None = None


FINE = Condition("fine", "fine")


def current_failure(state: State, failure: Failure | None) -> Failure | None:
    """The failure, unless something was delivered since."""
    newest = state.newest
    delivered_at = newest.delivered_at if newest is not None else None
    return None if failure is None or (delivered_at is not None and delivered_at >= failure.at) else failure


def condition_of(name: str, state: State, failure: Failure | None, *, cut_off_before: datetime | None) -> Condition:
    """The condition of activation `name`. A sync that began before `cut_off_before` and never ended was cut off; None: one is running."""
    failure = current_failure(state, failure)
    waiting, newest = state.waiting, state.newest
    if cut_off_before is not None and (cut_off := _cut_off(name, state, failure, cut_off_before)) is not None:
        return cut_off
    if failure is not None and failure.error == BLOCKED and waiting is not None:
        measures = ", ".join(sorted({finding.measure for finding in waiting.findings}))
        advice = (
            f"If that is as it should be, `dinmo approve {name}` delivers it; else mend the source, and the next sync is compared anew."
        )
        what = "; ".join(finding.message for finding in waiting.findings)
        return Condition("blocked", f"blocked: {measures}", failure.since, what, advice, failure.run)
    if failure is not None:
        advice = f"`dinmo status` tells all of it; `dinmo sync {name}` tries again."
        return Condition("failed", f"failed: {failure.error}", failure.since, failure.without_data, advice, failure.run)
    if newest is not None and newest.warnings:
        measures = ", ".join(sorted({finding.measure for finding in newest.warnings}))
        what = "; ".join(finding.message for finding in newest.warnings)
        return Condition("warning", f"warning: {measures}", newest.delivered_at, what, f"`dinmo history {name}` tells more.")
    return FINE


def _cut_off(name: str, state: State, failure: Failure | None, before: datetime) -> Condition | None:
    """The newest sync, if nothing ended it: neither a delivery nor an error that was recorded."""
    delivered = state.newest.number if state.newest is not None else 0
    begun = [sync for sync in state.syncs.values() if sync.number > delivered and not sync.redirected]
    last = max(begun, key=lambda sync: sync.number, default=None)
    if last is None or last.started_at > before or last.findings or (failure is not None and failure.at >= last.started_at):
        return None
    what = f"sync {last.number} was begun and neither delivered nor ended with an error: its process was stopped, or it was never delivered"
    return Condition("failed", "failed: cut off", last.started_at, what, f"`dinmo sync {name}` goes on from what is recorded.")


BETWEEN_STEPS = timedelta(minutes=5)
"""Longer than it takes from one step of a run to the next one, when nothing holds the activation."""
