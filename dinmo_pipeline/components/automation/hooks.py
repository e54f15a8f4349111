"""How attempts end, told from within their run: what launched it, a schedule, a person or `dinmo sync`, makes no difference.

No lock of the activation is held meanwhile: another run can have its turn while a message is sent.
"""

from __future__ import annotations

from datetime import UTC, datetime

from dagster import Failure, HookContext, HookDefinition, failure_hook, success_hook

from dinmo_pipeline.catalog.inputs import inputs_checksum
from dinmo_pipeline.components.asset_keys import delivery_key, snapshot_key
from dinmo_pipeline.errors import DinmoError, StorageError
from dinmo_pipeline.inbound.troubles.alerts import notify_import
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.sync.alerts.notifier import ActivationNotifier
from dinmo_pipeline.sync.run_slot import has_turn, release_run_slot


def table_hook(project: Project, spec: ActivationSpec) -> HookDefinition:
    """Return what the job of an activation does when a table that it refreshes fails.

    The activation's own steps have hooks of their own.
    """
    own = {"__".join(key.path) for key in (snapshot_key(spec.name), delivery_key(spec.name))}

    @failure_hook(name=f"tell_failed_table_of_{spec.name}")
    def failed(context: HookContext) -> None:
        if context.op.name not in own:
            _tell_failure(context, project, spec)

    return failed


def alert_hooks(project: Project, spec: ActivationSpec) -> tuple[HookDefinition, HookDefinition]:
    """Return what the activation's own steps do when they fail, and when they end well. A hook that fails, fails no step."""

    @failure_hook(name=f"tell_failure_of_{spec.name}")
    def failed(context: HookContext) -> None:
        # Nothing of this run comes after a step that failed.
        release_run_slot(project, spec)
        _tell_failure(context, project, spec)

    @success_hook(name=f"tell_end_of_{spec.name}")
    def ended(context: HookContext) -> None:
        # While the turn is held, the delivery is still to come, and tells all.
        if not has_turn(project, spec):
            _say(context, ActivationNotifier(project, spec).ended(run=context.run_id))

    return failed, ended


def feed_hooks(project: Project, feed: FeedSpec) -> tuple[HookDefinition, HookDefinition]:
    """Return what a run of a feed does when it ends, when no lock is held: people are told what waits for them in its inbox."""

    @failure_hook(name=f"tell_failed_import_of_{feed.name}")
    def failed(context: HookContext) -> None:
        cause = _cause(context.op_exception)
        # Of the storage as a whole is what the pass itself keeps as a trouble.
        error = None if isinstance(cause, StorageError) else cause
        _say(context, notify_import(project, feed.inbox, attempt=feed.name, error=error, run=context.run_id))

    @success_hook(name=f"tell_import_of_{feed.name}")
    def ended(context: HookContext) -> None:
        _say(context, notify_import(project, feed.inbox, attempt=feed.name, error=None, run=context.run_id))

    return failed, ended


def _tell_failure(context: HookContext, project: Project, spec: ActivationSpec) -> None:
    record = context.instance.get_run_record_by_id(context.run_id)
    began = datetime.fromtimestamp(record.start_time, UTC) if record is not None and record.start_time is not None else None
    unsent = ActivationNotifier(project, spec).failed(
        _cause(context.op_exception), run=context.run_id, inputs=lambda: inputs_checksum(project, spec, since=began)
    )
    _say(context, unsent)


def _cause(error: BaseException | None) -> BaseException:
    """Return our own error, if there is one below Dagster's."""
    below = error
    while below is not None and not isinstance(below, DinmoError):
        if not isinstance(below, Exception):
            # Somebody stopped it.
            return below
        below = below.__cause__
    return below or (error.__cause__ if isinstance(error, Failure) else None) or error or RuntimeError("nobody knows what")


def _say(context: HookContext, unsent: tuple[str, ...]) -> None:
    for line in unsent:
        context.log.warning(line)
