"""Tell how things are: status, history, explain."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dinmo_pipeline.alerts.alert_state import activation_alert_state
from dinmo_pipeline.cli.dagster.instance import broken_storage, dagster_home_in
from dinmo_pipeline.cli.health import health_of, unknown_health
from dinmo_pipeline.cli.homes import open_homes
from dinmo_pipeline.cli.options import FAILED, HERE, Json, Name, ProjectOption, activation_named
from dinmo_pipeline.cli.output import console
from dinmo_pipeline.cli.output import status as status_output
from dinmo_pipeline.cli.output import syncs as syncs_output
from dinmo_pipeline.cli.output.explanation import show_explanation
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.settings import find_project_root
from dinmo_pipeline.sync.alerts.health import BETWEEN_STEPS
from dinmo_pipeline.sync.alerts.lateness import find_lateness
from dinmo_pipeline.sync.alerts.notifier import ActivationNotifier
from dinmo_pipeline.sync.explain import explain_record
from dinmo_pipeline.sync.service import SyncService

_STATUS_SENDING_S = 10.0


def status(as_json: Json = False, project: ProjectOption = HERE) -> None:
    """One line a feed and one an activation: the last file or delivery, health, what to do; then what waits in inboxes, file by file.

    Ends with 1 when one needs somebody.

    Whoever is to be told of a sync that was cut off is told now; what is late is shown, and told by others.
    """
    from dinmo_pipeline.cli.inbound.feed_health import inbound_health

    loaded = load_project(find_project_root(project))
    lines = []
    # A person waits for the answer: messages that are not sent by then are sent by whatever looks next.
    end = time.monotonic() + _STATUS_SENDING_S
    for spec in loaded.activations.values():
        try:
            for untold in ActivationNotifier(loaded, spec).look(patience=BETWEEN_STEPS, deadlines=False, budget_s=end - time.monotonic()):
                console.warn(f"{spec.name}: {untold}")
            syncs, now, alert_state = SyncService(loaded, spec), loaded.clock(), activation_alert_state(loaded, spec.name).read()
            state = syncs.state()
            late = find_lateness(spec, state, now=now, since=alert_state.expected_since)
            lines.append(health_of(spec, state, alert_state.failure, now=now, running=syncs.is_running, late=late))
        except StateError as error:
            lines.append(unknown_health(spec, error, now=loaded.clock()))
    feeds, inboxes = inbound_health(loaded)
    status_output.show_status(lines, feeds, inboxes, as_json=as_json)
    for warning in open_homes(loaded):
        console.warn(warning)
    if (broken := broken_storage(dagster_home_in(loaded.home))) is not None:
        console.complain(f"Dagster's storage is broken: {broken}; stop Dagster, and let `dinmo instance init` mend it")
    waiting = (
        any(line.needs_somebody for line in lines) or any(feed.needs_somebody for feed in feeds) or any(each.troubles for each in inboxes)
    )
    if waiting or broken is not None:
        raise typer.Exit(FAILED)


def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An activation, or a feed.")],
    files: Annotated[bool, typer.Option("--files", help="Every file, too, with its size and checksum.")] = False,
    as_json: Json = False,
    project: ProjectOption = HERE,
) -> None:
    """Every sync of an activation, oldest first: mode, base, counts, files, duration, and what was odd; of a feed, every file."""
    loaded = load_project(find_project_root(project))
    if name in loaded.feeds and name not in loaded.activations:
        from dinmo_pipeline.cli.inbound.feed_history import show_feed_history

        show_feed_history(loaded, loaded.feeds[name], as_json=as_json)
        return
    spec = activation_named(loaded, name)
    syncs = SyncService(loaded, spec)
    syncs_output.show_history(spec, syncs.whole_history(), syncs.events(), files=files, as_json=as_json)


def explain(
    name: Name,
    key: Annotated[list[str], typer.Argument(metavar="KEY…", help="The record's primary key, a value for each of its columns.")],
    as_json: Json = False,
    project: ProjectOption = HERE,
) -> None:
    """When a record was sent, with which values, and why or why not, as far as rows are kept."""
    loaded = load_project(find_project_root(project))
    spec = activation_named(loaded, name)
    show_explanation(spec, explain_record(loaded, spec, SyncService(loaded, spec).whole_history(), key), as_json=as_json)
