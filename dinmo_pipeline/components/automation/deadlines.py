"""The sensor behind every `expected:`: each minute it looks whether something is late, and has people told."""

# Dagster reads the annotations of decorated functions as objects, so this module's are no postponed texts.
import os

from dagster import DefaultSensorStatus, SensorDefinition, SensorEvaluationContext, SkipReason, sensor

from dinmo_pipeline.components.automation.jobs import AUTOSTART
from dinmo_pipeline.operations.deadlines import notify_deadlines
from dinmo_pipeline.project.specs import Project

_SECONDS = 60
# Dagster gives a tick a minute.
_BUDGET_S = 30.0


def deadlines_owner(project: Project) -> tuple[str, str] | None:
    """Return the definition that brings the sensor: the first activation, else the first feed, of which something is expected."""
    activations = [name for name, spec in project.activations.items() if spec.expected is not None and not spec.paused]
    if activations:
        return "activation", min(activations)
    feeds = [name for name, feed in project.feeds.items() if feed.expected is not None]
    return ("feed", min(feeds)) if feeds else None


def deadlines_sensor(project: Project) -> SensorDefinition:
    """Return one sensor for all that is expected. It starts no runs."""
    running = os.environ.get(AUTOSTART) == "1"

    @sensor(
        name="deadlines",
        minimum_interval_seconds=_SECONDS,
        default_status=DefaultSensorStatus.RUNNING if running else DefaultSensorStatus.STOPPED,
        description="Tells people when something that is `expected:` is late, and when it is so no longer.",
    )
    def deadlines(context: SensorEvaluationContext) -> SkipReason:
        lines = notify_deadlines(project, budget_s=_BUDGET_S)
        for line in lines:
            context.log.warning(line)
        return SkipReason("; ".join(lines) or "every deadline was looked at; it starts no run")

    return deadlines
