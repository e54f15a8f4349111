"""How an activation is: what its log and its schedule say, in one line."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dinmo_pipeline.alerts.alert_state import Failure
from dinmo_pipeline.alerts.expected import Late
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.project.cron import schedule_ticks
from dinmo_pipeline.project.specs import ActivationSpec
from dinmo_pipeline.sync.alerts.health import BLOCKED, current_failure
from dinmo_pipeline.sync.ledger.state import State

# A leap day's schedule comes within this many days.
_DAYS_AHEAD = 4 * 366
_PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class Health:
    """One activation: its newest delivery, when it is due, how it is and what to do; instants are in its time zone."""

    activation: str
    last_sync: int | None
    last_delivered: datetime | None
    rows: int | None
    next_due: datetime | None
    health: str
    advice: str
    late: str | None = None

    @property
    def needs_somebody(self) -> bool:
        """Whether a person has to do something."""
        return self.health not in ("ok", "new", "warning", "running", "paused")


def health_of(
    spec: ActivationSpec, state: State, failure: Failure | None, *, now: datetime, running: bool = False, late: Late | None = None
) -> Health:
    """Return the health of an activation at `now` (with a zone); `failure` is the last that was recorded, `running`: a sync has its turn.

    `late` is what was expected of it and has not come.
    """
    newest = state.newest
    health, advice = ("running", "") if running else _judge(spec, state, current_failure(state, failure))
    if health == "ok" and (missed := missed_tick(spec, state, now)) is not None:
        health = "overdue"
        advice = f"no sync began at {missed:%Y-%m-%d %H:%M %Z}: see that Dagster's daemon runs and the schedule is on"
    elif health == "ok" and spec.paused:
        health, advice = "paused", "paused: true rests its schedule; a sync by hand still runs"
    if late is not None:
        health, advice = _with_late(spec, late, health, advice)
    return Health(
        activation=spec.name,
        last_sync=newest.number if newest else None,
        last_delivered=newest.delivered_at.astimezone(ZoneInfo(spec.timezone)) if newest and newest.delivered_at else None,
        rows=state.last_delivery.rows if state.last_delivery else None,
        next_due=next_due(spec, now),
        health=health,
        advice=advice,
        late=None if late is None else late.text,
    )


def _with_late(spec: ActivationSpec, late: Late, health: str, advice: str) -> tuple[str, str]:
    """Return the health and advice of one that is late, whatever it is besides."""
    if health in ("ok", "new", "warning", "overdue"):
        does = advice if health == "overdue" else f"`dinmo sync {spec.name}` delivers it now"
        return "late", f"{late.text}: {does}"
    return health, f"late: {late.text}" + (f"; {advice}" if advice else "")


def unknown_health(spec: ActivationSpec, error: StateError, *, now: datetime) -> Health:
    """Return the health of an activation whose log cannot be trusted."""
    return Health(spec.name, None, None, None, next_due(spec, now), "unknown", str(error))


def next_due(spec: ActivationSpec, now: datetime) -> datetime | None:
    """Return the next tick of the activation's schedule, or None where it has none or rests."""
    if not spec.schedules or spec.paused:
        return None
    zone = ZoneInfo(spec.timezone)
    local = now.astimezone(zone)
    ticks = schedule_ticks(spec.schedules, start=local, days=_DAYS_AHEAD)
    return next((tick for tick in ticks if tick.timestamp() > now.timestamp()), None)


def missed_tick(spec: ActivationSpec, state: State, now: datetime) -> datetime | None:
    """Return the tick that came more than half an hour ago and began no sync, where the last sync was a schedule's; else None.

    Who syncs by hand has no schedule that could be late.
    """
    last = max(state.syncs.values(), key=lambda sync: sync.number, default=None)
    if not spec.schedules or spec.paused or last is None or abs(last.started_at - last.instant) > _PATIENCE:
        return None
    start = last.instant.astimezone(ZoneInfo(spec.timezone))
    ticks = schedule_ticks(spec.schedules, start=start, days=_DAYS_AHEAD)
    around = [*itertools.takewhile(lambda tick: tick.timestamp() <= start.timestamp(), ticks)]
    if not around or around[-1].timestamp() != start.timestamp():
        return None
    following = next_due(spec, start)
    return following if following is not None and now - following > _PATIENCE else None


def _judge(spec: ActivationSpec, state: State, failure: Failure | None) -> tuple[str, str]:
    newest = state.newest.number if state.newest else 0
    latest = max((number for number, sync in state.syncs.items() if not sync.redirected), default=0)
    if (interrupted := state.open_intent) is not None:
        reason = f": {failure.text}" if failure is not None else ""
        return "half delivered", f"sync {interrupted.number} was interrupted{reason}: `dinmo sync {spec.name}` completes it"
    if failure is not None and failure.error != BLOCKED:
        times = f" ({failure.attempts:,} times since {failure.since.astimezone(ZoneInfo(spec.timezone)):%Y-%m-%d %H:%M %Z})"
        return "failed", failure.text + (times if failure.attempts > 1 else "")
    if (waiting := state.waiting) is not None:
        reason = "; ".join(finding.message for finding in waiting.findings)
        return "blocked", f"{reason}: `dinmo approve {spec.name}`, or mend the source and sync again"
    if state.redelivering:
        return "half delivered", f"delivering sync {state.redelivering[0]} again was interrupted: `dinmo sync {spec.name}` completes it"
    if latest > newest:
        told = f"sync {latest} was begun, and stopped before it was delivered or ended with an error"
        return "stopped", f"{told}: `dinmo sync {spec.name}` goes on from what is recorded"
    if newest == 0:
        return "new", f"never delivered: `dinmo sync {spec.name}`"
    if state.newest is not None and state.newest.warnings:
        return "warning", "; ".join(finding.message for finding in state.newest.warnings)
    return "ok", ""
