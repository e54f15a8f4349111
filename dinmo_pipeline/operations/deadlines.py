"""What is expected of a project, looked at as a whole: who is late is told once, and once more when it no longer is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dinmo_pipeline.alerts.alert_state import activation_alert_state, feed_alert_state
from dinmo_pipeline.alerts.notifier import BUDGET_S
from dinmo_pipeline.errors import DinmoError
from dinmo_pipeline.inbound.troubles.alerts import notify_late_feed
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.alerts.health import BETWEEN_STEPS
from dinmo_pipeline.sync.alerts.notifier import ActivationNotifier

_LEAST_S = 2.0


@dataclass(frozen=True)
class _Look:
    name: str
    has_unsent: bool
    tell: Callable[[float], tuple[str, ...]]


def has_expectations(project: Project) -> bool:
    """Return whether anything is expected of any feed or activation that is not paused."""
    return next(_scan_state(project), None) is not None


def notify_deadlines(project: Project, *, budget_s: float = BUDGET_S) -> tuple[str, ...]:
    """Look at all that is expected; what could not be seen, and who could not be told and why, in lines.

    Sending takes `budget_s` at most: what is left is for the next look. Who could not be told before comes last.
    """
    end = time.monotonic() + budget_s
    lines: list[str] = []
    for look in sorted(_scan_state(project), key=lambda each: each.has_unsent):
        left = end - time.monotonic()
        if left < _LEAST_S:
            lines.append(f"{look.name}: sending messages took too long; the next look goes on from here")
            break
        try:
            lines += (f"{look.name}: {line}" for line in look.tell(left))
        except DinmoError as error:
            lines.append(f"{look.name}: whether it is late was not seen: {error}")
    return tuple(lines)


def _scan_state(project: Project) -> Iterator[_Look]:
    for spec in project.activations.values():
        if spec.expected is not None and not spec.paused:
            yield _Look(
                spec.name,
                bool(activation_alert_state(project, spec.name).read().unsent),
                lambda left, spec=spec: ActivationNotifier(project, spec).look(patience=BETWEEN_STEPS, budget_s=left),  # type: ignore[misc]
            )
    for feed in project.feeds.values():
        if feed.expected is not None:
            yield _Look(
                feed.name,
                bool(feed_alert_state(project, feed.name).read().unsent),
                lambda left, feed=feed: notify_late_feed(project, feed, budget_s=left),  # type: ignore[misc]
            )
