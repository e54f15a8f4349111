"""Whether an activation is late: a sync of it must have been delivered since the day began."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from dinmo_pipeline.alerts.alert_state import AlertStateUpdate
from dinmo_pipeline.alerts.expected import Late, find_late
from dinmo_pipeline.project.specs import ActivationSpec
from dinmo_pipeline.sync.ledger.state import State


def find_lateness(spec: ActivationSpec, state: State, *, now: datetime, since: date | None) -> Late | None:
    """Return what is late of the activation at `now`; a paused one is never. Days count from `since` on, None: from today."""
    if spec.expected is None or spec.paused:
        return None
    today = now.astimezone(ZoneInfo(spec.timezone)).date()

    def came(_day: date, start: datetime) -> Sequence[int]:
        return [
            sync.export.counts.rows
            for sync in state.delivered
            if sync.export is not None and not sync.is_baseline and sync.delivered_at is not None and sync.delivered_at >= start
        ]

    return find_late(spec.expected, spec.timezone, now=now, since=since or today, came=came)


def lateness_of(spec: ActivationSpec, state: State, draft: AlertStateUpdate, *, now: datetime) -> Late | None:
    """Return the same; the draft keeps from which day on it counts."""
    if spec.expected is None:
        return None
    since = draft.expected_since(now.astimezone(ZoneInfo(spec.timezone)).date())
    return find_lateness(spec, state, now=now, since=since)
