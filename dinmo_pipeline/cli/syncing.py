"""Deliver by hand: sync, redeliver, approve, take a baseline."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from dinmo_pipeline.cli.inbound.inbox import approve_file
from dinmo_pipeline.cli.options import FAILED, HERE, Name, ProjectOption, activation_named, chosen_activations, row_count, sync_number
from dinmo_pipeline.cli.output import console
from dinmo_pipeline.cli.output import syncs as syncs_output
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.load import load_project, load_with_warnings
from dinmo_pipeline.project.operators import current_operator
from dinmo_pipeline.project.settings import find_project_root
from dinmo_pipeline.project.specs import ActivationSpec, Project, RunType
from dinmo_pipeline.storages.waiting import allow_waiting
from dinmo_pipeline.sync.deliver.redirect import target_elsewhere
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.prepare import Target
from dinmo_pipeline.sync.service import SyncService


def sync(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Activations.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every activation.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Send every row, and make this the base.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    limit: Annotated[
        int | None, typer.Option(parser=row_count, metavar="N", help="Send N rows a file, as NAME_trial; moves no base.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="STORAGE", help="Send it to another storage; moves no base.")] = None,
    at: Annotated[str | None, typer.Option(metavar="INSTANT", help="The instant in file names, such as 2025-04-14T07:00:00+02:00.")] = None,
    project: ProjectOption = HERE,
) -> None:
    """Refresh what activations need, find what changed, and deliver it."""
    loaded = load_with_warnings(find_project_root(project))
    specs = chosen_activations(loaded.project, names or [], everything=everything)
    instant = _instant(at, loaded.project) or loaded.project.clock()
    if dry_run or limit is not None or to is not None:
        with allow_waiting(console.show_waiting):
            _rehearse(loaded.project, specs, instant, full=full, send=not dry_run, limit=limit, to=to)
        return
    from dinmo_pipeline.cli.dagster.running import Runner

    if full and (unfit := [spec.name for spec in specs if spec.run_type == RunType.FULL_ONLY]) and not everything:
        console.warn(f"{', '.join(unfit)}: full_only sends every row anyway")
    with Runner(loaded) as runner, allow_waiting(console.show_waiting):
        outcomes = syncs_output.follow((spec.name for spec in specs), lambda name: runner.sync(name, label_of_instant(instant), full=full))
    syncs_output.show_outcomes(outcomes)
    _notify_deadlines(loaded.project)
    if any(outcome.problem is not None for outcome in outcomes):
        raise typer.Exit(FAILED)


def redeliver(
    name: Name,
    number: Annotated[
        int, typer.Argument(parser=sync_number, metavar="SYNC", help="The number of a delivered sync, as `dinmo history` lists them.")
    ],
    to: Annotated[str | None, typer.Option(metavar="STORAGE", help="Send that sync alone to another storage.")] = None,
    project: ProjectOption = HERE,
) -> None:
    """Deliver a sync and all newer ones once more, in order; moves no base."""
    loaded = load_project(find_project_root(project))
    spec = activation_named(loaded, name)
    syncs = SyncService(loaded, spec)
    with allow_waiting(console.show_waiting):
        if to is None:
            again = syncs.redeliver(number)
        else:
            again = (syncs.redeliver_elsewhere(number, target_elsewhere(loaded, spec, to, asked_by="--to")),)
    syncs_output.show_redelivered(spec, again, sent_to=to)


def approve(name: Annotated[str, typer.Argument(metavar="NAME", help="An activation, or a feed.")], project: ProjectOption = HERE) -> None:
    """Deliver the very rows of the newest sync that a guard stopped; of a feed, import the very file."""
    from dinmo_pipeline.cli.dagster.running import Runner

    loaded = load_with_warnings(find_project_root(project))
    if name in loaded.project.feeds and name not in loaded.project.activations:
        approve_file(loaded, loaded.project.feeds[name])
        return
    approved = SyncService(loaded.project, activation_named(loaded.project, name)).approve(by=current_operator())
    for finding in approved.findings:
        console.say(f"approved: {finding.message}")
    with Runner(loaded) as runner, allow_waiting(console.show_waiting):
        outcomes = syncs_output.follow([name], lambda one: runner.deliver(one, approved.label))
    syncs_output.show_outcomes(outcomes)
    if any(outcome.problem is not None for outcome in outcomes):
        raise typer.Exit(FAILED)


def baseline(name: Name, project: ProjectOption = HERE) -> None:
    """Take today's rows as delivered already, so that only later changes are sent."""
    loaded = load_project(find_project_root(project))
    spec = activation_named(loaded, name)
    _refresh(loaded, [spec])
    now = loaded.clock()
    taken = SyncService(loaded, spec).baseline(label_of_instant(now), now=now, by=current_operator())
    assert taken.snapshot is not None, "a baseline is a snapshot"
    console.say(
        f"{name}: {taken.snapshot.rows:,} rows count as delivered (sync {taken.number}); the next sync sends what changes from now on"
    )


def _instant(text: str | None, loaded: Project) -> datetime | None:
    from zoneinfo import ZoneInfo

    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise CallError(f"--at: {text!r} is no instant; write it as in 2025-04-14T07:00:00+02:00") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=ZoneInfo(loaded.timezone))


def _rehearse(
    loaded: Project, specs: list[ActivationSpec], instant: datetime, *, full: bool, send: bool, limit: int | None, to: str | None
) -> None:
    targets = []
    for spec in specs:
        own = Target(loaded.storages[spec.destination], recorded=False, limit=limit)
        targets.append(own if to is None else target_elsewhere(loaded, spec, to, asked_by="--to", limit=limit))
    _refresh(loaded, specs)
    for spec, target in zip(specs, targets, strict=True):
        rehearsal = SyncService(loaded, spec).rehearse(instant=instant, target=target, send=send, full=full)
        syncs_output.show_rehearsal(spec, rehearsal, sent_to=target.storage.name if send else None)


def _refresh(loaded: Project, specs: list[ActivationSpec]) -> None:
    from dinmo_pipeline.engines.duckdb.tables import refresh

    wanted = {table.ref for spec in specs for table in loaded.tables_for(spec.source)}
    for ref, table in loaded.tables.items():
        if ref in wanted:
            refresh(loaded, table, reuse=True)


def _notify_deadlines(loaded: Project) -> None:
    from dinmo_pipeline.operations.deadlines import notify_deadlines

    for line in notify_deadlines(loaded):
        console.warn(line)
