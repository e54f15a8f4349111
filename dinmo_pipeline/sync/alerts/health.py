"""How an activation is, as people are told: one pure function of its log and of its last failure."""

from __future__ import annotations

from datetime import datetime, timedelta

from dinmo_pipeline.alerts.alert import Alert
from dinmo_pipeline.alerts.alert_state import Failure
from dinmo_pipeline.delta.findings import Finding
from dinmo_pipeline.sync.ledger.state import State

BLOCKED = "SyncBlocked"
CONDITION = ""
"""The group of all alerts here: of one activation there is one at a time."""


def current_failure(state: State, failure: Failure | None) -> Failure | None:
    """Return the failure, unless something was delivered since."""
    newest = state.newest
    delivered_at = newest.delivered_at if newest is not None else None
    return None if failure is None or (delivered_at is not None and delivered_at >= failure.at) else failure


def condition_of(name: str, state: State, failure: Failure | None, *, cut_off_before: datetime | None) -> Alert | None:
    """Return what is open about activation `name`, if anything is.

    A sync that began before `cut_off_before` and never ended was cut off; None: one is running.
    """
    failure = current_failure(state, failure)
    waiting, newest = state.waiting, state.newest
    if cut_off_before is not None and (cut_off := _cut_off(name, state, failure, cut_off_before)) is not None:
        return cut_off
    if failure is not None and failure.error == BLOCKED and waiting is not None:
        mark = f"blocked: {_measures(waiting.findings)}"
        advice = (
            f"If that is as it should be, `dinmo approve {name}` delivers it; else mend the source, and the next sync is compared anew."
        )
        return Alert(mark, "blocked", mark, _what(waiting.findings), advice, failure.since, failure.run)
    if failure is not None:
        mark = f"failed: {failure.error}"
        advice = f"`dinmo status` tells all of it; `dinmo sync {name}` tries again."
        return Alert(mark, "failed", mark, failure.without_data, advice, failure.since, failure.run)
    if newest is not None and newest.warnings:
        mark = f"warning: {_measures(newest.warnings)}"
        return Alert(mark, "warning", mark, _what(newest.warnings), f"`dinmo history {name}` tells more.", newest.delivered_at)
    return None


def _measures(findings: tuple[Finding, ...]) -> str:
    return ", ".join(sorted({finding.measure for finding in findings}))


def _what(findings: tuple[Finding, ...]) -> str:
    return "; ".join(finding.message for finding in findings)


def _cut_off(name: str, state: State, failure: Failure | None, before: datetime) -> Alert | None:
    """Return the newest sync, if nothing ended it: neither a delivery nor an error that was recorded."""
    delivered = state.newest.number if state.newest is not None else 0
    begun = [sync for sync in state.syncs.values() if sync.number > delivered and not sync.redirected]
    last = max(begun, key=lambda sync: sync.number, default=None)
    if last is None or last.started_at > before or last.findings or (failure is not None and failure.at >= last.started_at):
        return None
    what = f"sync {last.number} was begun and neither delivered nor ended with an error: its process was stopped, or it was never delivered"
    mark = "failed: cut off"
    return Alert(mark, "failed", mark, what, f"`dinmo sync {name}` goes on from what is recorded.", last.started_at)


BETWEEN_STEPS = timedelta(minutes=5)
"""Longer than it takes from one step of a run to the next one, when nothing holds the activation."""
