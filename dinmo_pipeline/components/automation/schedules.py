"""The schedule of an activation: each tick adds a partition for its instant and asks for one run."""

# Dagster reads the annotations of decorated functions as objects, so this module's are no postponed texts.
import os

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from dinmo_pipeline.alerts.alert_state import activation_alert_state
from dinmo_pipeline.catalog.inputs import inputs_checksum
from dinmo_pipeline.components.asset_keys import job_name
from dinmo_pipeline.components.automation.jobs import AUTOSTART, sync_request
from dinmo_pipeline.components.descriptions import describe_schedule
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.sync.alerts.backoff import backoff_reason
from dinmo_pipeline.sync.labels import label_of_instant


def activation_schedule(project: Project, spec: ActivationSpec) -> ScheduleDefinition:
    """Return all of its cron expressions, in its time zone. Of several ticks that nobody was there for, Dagster runs the last one."""
    running = os.environ.get(AUTOSTART) == "1"

    @schedule(
        name=f"{spec.name}_schedule",
        job_name=job_name(spec.name),
        # A list of one would show as a list.
        cron_schedule=spec.schedules[0] if len(spec.schedules) == 1 else list(spec.schedules),
        execution_timezone=spec.timezone,
        description=describe_schedule(spec),
        default_status=DefaultScheduleStatus.RUNNING if running else DefaultScheduleStatus.STOPPED,
    )
    def due(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        alert_state = activation_alert_state(project, spec.name).read()
        now = max(context.scheduled_execution_time, project.clock())
        reason = backoff_reason(project, spec, alert_state, now=now, inputs=lambda: inputs_checksum(project, spec))
        if reason is not None:
            return SkipReason(reason)
        due = context.scheduled_execution_time
        return sync_request(context.instance, project, spec, due, run_key=label_of_instant(due))

    return due
