"""The commands: each reads the project, calls the function that does the work, and shows what came of it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dinmo_pipeline.alerts.alert_state import activation_alert_state
from dinmo_pipeline.cli import showing
from dinmo_pipeline.cli.explaining import show_explanation
from dinmo_pipeline.cli.forgetting import forget
from dinmo_pipeline.cli.health import health_of, unknown_health
from dinmo_pipeline.cli.homes import open_homes
from dinmo_pipeline.cli.inbox import approve_file, dismiss, import_files, inbox_commands
from dinmo_pipeline.cli.instance import broken_storage, dagster_home_in
from dinmo_pipeline.cli.instance_commands import instance_commands
from dinmo_pipeline.cli.options import HERE, ProjectOption
from dinmo_pipeline.cli.profiling import profile
from dinmo_pipeline.cli.template import make_project
from dinmo_pipeline.errors import BusyError, CallError, DefinitionErrors, DinmoError, StateError
from dinmo_pipeline.masking import masked_errors
from dinmo_pipeline.project.load import load_project, load_with_warnings
from dinmo_pipeline.project.operators import current_operator
from dinmo_pipeline.project.schema.file_names import render_name
from dinmo_pipeline.project.settings import find_project_root
from dinmo_pipeline.project.specs import ActivationSpec, Project, RunType
from dinmo_pipeline.storages.probe import check_storage
from dinmo_pipeline.storages.rights import delivery_umask, keep_new_files_private
from dinmo_pipeline.storages.waiting import allow_waiting
from dinmo_pipeline.suggestions import nearest_hint
from dinmo_pipeline.sync.alerts.health import BETWEEN_STEPS
from dinmo_pipeline.sync.alerts.lateness import find_lateness
from dinmo_pipeline.sync.alerts.notifier import ActivationNotifier
from dinmo_pipeline.sync.backends.open import open_state
from dinmo_pipeline.sync.deliver.redirect import target_elsewhere
from dinmo_pipeline.sync.explain import explain_record
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.prepare import Target
from dinmo_pipeline.sync.retention import Litter, clean_abandoned_scratch
from dinmo_pipeline.sync.service import SyncService

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(inbox_commands, name="inbox")
app.add_typer(instance_commands, name="instance")
app.command("import")(import_files)
app.command()(dismiss)
app.command()(forget)
app.command()(profile)

state_app = typer.Typer(no_args_is_help=True, help="What is known of the syncs that were delivered.")
app.add_typer(state_app, name="state")

_FAILED, _WRONG = 1, 2
_STATUS_SENDING_S = 10.0

Name = Annotated[str, typer.Argument(metavar="NAME", help="An activation.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        showing.say(f"dinmo-pipeline {version('dinmo-pipeline')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Tables in, files out."""


def main() -> NoReturn:
    """Run the command line: 0 fine, 1 the work failed, 2 the definitions or the call are wrong."""
    keep_new_files_private()
    try:
        with masked_errors():
            app()
    except (DefinitionErrors, CallError) as error:
        showing.complain(str(error))
        sys.exit(_WRONG)
    except DinmoError as error:
        showing.complain(str(error))
        sys.exit(_FAILED)
    sys.exit(0)


@app.command()
def init(directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is new or empty.")]) -> None:
    """Make a project that works at once."""
    # Definitions are for all who work on them.
    os.umask(delivery_umask())
    files = make_project(directory)
    showing.say(f"made {directory}: {', '.join(files)}")
    showing.say("definitions live in files called defs.yaml, each in a folder of its own below defs; files of other names are not read")
    showing.say(f"next: cd {directory} && dinmo check && dinmo sync --all")


@app.command()
def check(project: ProjectOption = HERE) -> None:
    """Find every mistake in the definitions, with file and line, and warn of what may surprise."""
    loaded = load_with_warnings(find_project_root(project))
    warnings = [*map(str, loaded.warnings), *open_homes(loaded.project)]
    for warning in warnings:
        showing.warn(warning)
    showing.show_checked(loaded.project, len(warnings))


@app.command()
def sync(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Activations.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every activation.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Send every row, and make this the base.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Send N rows a file, as NAME_trial; moves no base.")] = None,
    to: Annotated[str | None, typer.Option(metavar="STORAGE", help="Send it to another storage; moves no base.")] = None,
    at: Annotated[str | None, typer.Option(metavar="INSTANT", help="The instant in file names, such as 2025-04-14T07:00:00+02:00.")] = None,
    project: ProjectOption = HERE,
) -> None:
    """Refresh what activations need, find what changed, and deliver it."""
    loaded = load_with_warnings(find_project_root(project))
    specs = _chosen(loaded.project, names or [], everything=everything)
    instant = _instant(at, loaded.project) or loaded.project.clock()
    if dry_run or limit is not None or to is not None:
        with allow_waiting(showing.show_waiting):
            _rehearse(loaded.project, specs, instant, full=full, send=not dry_run, limit=limit, to=to)
        return
    from dinmo_pipeline.cli.running import Runner

    if full and (unfit := [spec.name for spec in specs if spec.run_type == RunType.FULL_ONLY]) and not everything:
        showing.warn(f"{', '.join(unfit)}: full_only sends every row anyway")
    with Runner(loaded) as runner, allow_waiting(showing.show_waiting):
        outcomes = showing.follow((spec.name for spec in specs), lambda name: runner.sync(name, label_of_instant(instant), full=full))
    showing.show_outcomes(outcomes)
    _notify_deadlines(loaded.project)
    if any(outcome.problem is not None for outcome in outcomes):
        raise typer.Exit(_FAILED)


@app.command()
def status(as_json: Json = False, project: ProjectOption = HERE) -> None:
    """One line a feed and one an activation: the last file or delivery, health, what to do; then what waits in inboxes, file by file.

    Ends with 1 when one needs somebody.

    Whoever is to be told of a sync that was cut off is told now; what is late is shown, and told by others.
    """
    from dinmo_pipeline.cli.feed_health import inbound_health

    loaded = load_project(find_project_root(project))
    lines = []
    # A person waits for the answer: messages that are not sent by then are sent by whatever looks next.
    end = time.monotonic() + _STATUS_SENDING_S
    for spec in loaded.activations.values():
        try:
            for untold in ActivationNotifier(loaded, spec).look(patience=BETWEEN_STEPS, deadlines=False, budget_s=end - time.monotonic()):
                showing.warn(f"{spec.name}: {untold}")
            syncs, now, alert_state = SyncService(loaded, spec), loaded.clock(), activation_alert_state(loaded, spec.name).read()
            state = syncs.state()
            late = find_lateness(spec, state, now=now, since=alert_state.expected_since)
            lines.append(health_of(spec, state, alert_state.failure, now=now, running=syncs.is_running, late=late))
        except StateError as error:
            lines.append(unknown_health(spec, error, now=loaded.clock()))
    feeds, inboxes = inbound_health(loaded)
    showing.show_status(lines, feeds, inboxes, as_json=as_json)
    for warning in open_homes(loaded):
        showing.warn(warning)
    if (broken := broken_storage(dagster_home_in(loaded.home))) is not None:
        showing.complain(f"Dagster's storage is broken: {broken}; stop Dagster, and let `dinmo instance init` mend it")
    waiting = (
        any(line.needs_somebody for line in lines) or any(feed.needs_somebody for feed in feeds) or any(each.troubles for each in inboxes)
    )
    if waiting or broken is not None:
        raise typer.Exit(_FAILED)


@app.command()
def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An activation, or a feed.")],
    files: Annotated[bool, typer.Option("--files", help="Every file, too, with its size and checksum.")] = False,
    as_json: Json = False,
    project: ProjectOption = HERE,
) -> None:
    """Every sync of an activation, oldest first: mode, base, counts, files, duration, and what was odd; of a feed, every file."""
    loaded = load_project(find_project_root(project))
    if name in loaded.feeds and name not in loaded.activations:
        from dinmo_pipeline.cli.feed_history import show_feed_history

        show_feed_history(loaded, loaded.feeds[name], as_json=as_json)
        return
    spec = _activation(loaded, name)
    syncs = SyncService(loaded, spec)
    showing.show_history(spec, syncs.whole_history(), syncs.events(), files=files, as_json=as_json)


@app.command()
def explain(
    name: Name,
    key: Annotated[list[str], typer.Argument(metavar="KEY…", help="The record's primary key, a value for each of its columns.")],
    as_json: Json = False,
    project: ProjectOption = HERE,
) -> None:
    """When a record was sent, with which values, and why or why not, as far as rows are kept."""
    loaded = load_project(find_project_root(project))
    spec = _activation(loaded, name)
    show_explanation(spec, explain_record(loaded, spec, SyncService(loaded, spec).whole_history(), key), as_json=as_json)


@app.command()
def redeliver(
    name: Name,
    number: Annotated[int, typer.Argument(metavar="SYNC", help="The number of a delivered sync, as `dinmo history` lists them.")],
    to: Annotated[str | None, typer.Option(metavar="STORAGE", help="Send that sync alone to another storage.")] = None,
    project: ProjectOption = HERE,
) -> None:
    """Deliver a sync and all newer ones once more, in order; moves no base."""
    loaded = load_project(find_project_root(project))
    spec = _activation(loaded, name)
    syncs = SyncService(loaded, spec)
    with allow_waiting(showing.show_waiting):
        if to is None:
            again = syncs.redeliver(number)
        else:
            again = (syncs.redeliver_elsewhere(number, target_elsewhere(loaded, spec, to, asked_by="--to")),)
    showing.show_redelivered(spec, again, sent_to=to)


@app.command()
def approve(name: Annotated[str, typer.Argument(metavar="NAME", help="An activation, or a feed.")], project: ProjectOption = HERE) -> None:
    """Deliver the very rows of the newest sync that a guard stopped; of a feed, import the very file."""
    from dinmo_pipeline.cli.running import Runner

    loaded = load_with_warnings(find_project_root(project))
    if name in loaded.project.feeds and name not in loaded.project.activations:
        approve_file(loaded, loaded.project.feeds[name])
        return
    approved = SyncService(loaded.project, _activation(loaded.project, name)).approve(by=current_operator())
    for finding in approved.findings:
        showing.say(f"approved: {finding.message}")
    with Runner(loaded) as runner, allow_waiting(showing.show_waiting):
        outcomes = showing.follow([name], lambda one: runner.deliver(one, approved.label))
    showing.show_outcomes(outcomes)
    if any(outcome.problem is not None for outcome in outcomes):
        raise typer.Exit(_FAILED)


@app.command()
def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be deleted, and delete nothing.")] = False,
    project: ProjectOption = HERE,
) -> None:
    """Delete what crashes left and what `keep_syncs` lets go: snapshots, temporary files, partitions and runs in Dagster.

    Runs whose process was killed are ended, and what has no definition any more leaves Dagster's catalogue.
    """
    from dinmo_pipeline.cli.cleaning import clean_runs

    loaded = load_project(find_project_root(project))
    found = list(clean_abandoned_scratch(loaded, dry_run=dry_run))
    for spec in loaded.activations.values():
        try:
            found += SyncService(loaded, spec).clean(dry_run=dry_run)
        except BusyError:
            showing.warn(f"{spec.name}: a sync is at work, so it is left alone; clean again later")
        except StateError as error:
            found.append(Litter("activation", spec.name, "nobody knows what of it is needed", str(error)))
    found += clean_runs(loaded, dry_run=dry_run)
    showing.show_cleaned(found, dry_run=dry_run)
    if any(each.problem for each in found):
        raise typer.Exit(_FAILED)


@app.command()
def baseline(name: Name, project: ProjectOption = HERE) -> None:
    """Take today's rows as delivered already, so that only later changes are sent."""
    loaded = load_project(find_project_root(project))
    spec = _activation(loaded, name)
    _refresh(loaded, [spec])
    now = loaded.clock()
    taken = SyncService(loaded, spec).baseline(label_of_instant(now), now=now, by=current_operator())
    assert taken.snapshot is not None, "a baseline is a snapshot"
    showing.say(
        f"{name}: {taken.snapshot.rows:,} rows count as delivered (sync {taken.number}); the next sync sends what changes from now on"
    )


@app.command("test")
def try_storage(
    storage: Annotated[str, typer.Argument(metavar="STORAGE", help="A storage.")],
    folder: Annotated[str, typer.Option(metavar="FOLDER", help="The folder to try; variables are filled in.")] = ".",
    project: ProjectOption = HERE,
) -> None:
    """Try a storage: connect, write, rename; then list, read back and delete, which a delivery can do without."""
    root = find_project_root(project)
    loaded = load_project(root)
    if storage not in loaded.storages:
        raise CallError(f"there is no storage {storage!r}{nearest_hint(storage, loaded.storages)}")
    spec = loaded.storages[storage]
    filled = render_name(folder, loaded.clock(), loaded.timezone)
    if (unfit := spec.folder_problem(filled)) is not None:
        raise CallError(f"--folder: {unfit}")
    if filled != folder:
        showing.say(f"{folder} is {filled} now; that folder is tried")
    known = tuple(dict.fromkeys(each.folder for each in loaded.activations.values() if each.destination == storage and each.folder != "."))
    steps = [showing.show_step(step) for step in check_storage(spec, root, folder=filled, known_folders=known)]
    if any(step.fails for step in steps):
        raise typer.Exit(_FAILED)


@state_app.command("init")
def state_init(project: ProjectOption = HERE) -> None:
    """Let state begin where `DINMO_STATE_URL` or `DINMO_HOME` says; needed once where `DINMO_REQUIRE_STATE` is set."""
    state = open_state(load_project(find_project_root(project)))
    begun = state.backend.begin()
    showing.say(f"state begins at {state.place}" if begun else f"there is state at {state.place} already; nothing was changed")


@state_app.command("sign")
def state_sign(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Activations.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every activation.")] = False,
    project: ProjectOption = HERE,
) -> None:
    """Take the logs for true as they stand now; from then on only entries count that were written with `DINMO_STATE_KEY`."""
    loaded = load_project(find_project_root(project))
    state = open_state(loaded)
    for spec in _chosen(loaded, names or [], everything=everything):
        log = state.log(loaded, spec)
        with log.locked():
            showing.say(f"{spec.name}: {log.vouch():,} entries are taken for true; others count only if they are signed")


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="The port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="The address that the UI listens on.")] = "127.0.0.1",
    project: ProjectOption = HERE,
) -> None:
    """Open the project in the Dagster UI, with its daemon for schedules."""
    from dinmo_pipeline.alerts.notifier import UI_URL
    from dinmo_pipeline.cli.instance import dagster_home, prepare_storage
    from dinmo_pipeline.cli.running import loads_itself

    root = find_project_root(project)
    home = dagster_home(load_project(root))
    _require_free(host, port)
    # Before Dagster's processes do it, all at once.
    prepare_storage(home)
    # Dagster tells whoever uses this command of another one, for projects that are no `dinmo` ones.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    command = [sys.executable, *quiet, "-m", "dinmo_pipeline.webserver.dev", "dev", "--host", host, "--port", str(port)]
    if not loads_itself(root):
        command += ["--module-name", "dinmo_pipeline.definitions"]
    showing.say(f"the Dagster UI opens at http://{host}:{port} (Ctrl-C ends it)")
    sys.stdout.flush()
    os.chdir(root)
    # A shell's background job ignores interrupts, and Dagster would then ignore being stopped, too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # In this process's place: whoever stops it stops Dagster, which then stops what it has started.
    variables = {UI_URL: f"http://{host}:{port}", **os.environ, "DAGSTER_HOME": str(home), "PYTHONTZPATH": ""}
    os.execve(sys.executable, command, variables)


def _require_free(host: str, port: int) -> None:
    """CallError where the UI could not listen: Dagster would go on without it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as trial:
            # As the server does: connections that an earlier server left half closed keep no port.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise CallError(f"opening the Dagster UI at {host}:{port}: {error.strerror}; choose another with --port or --host") from error


def _notify_deadlines(loaded: Project) -> None:
    from dinmo_pipeline.io_managers.deadlines import notify_deadlines

    for line in notify_deadlines(loaded):
        showing.warn(line)


def _chosen(loaded: Project, names: list[str], *, everything: bool) -> list[ActivationSpec]:
    if everything == bool(names):
        raise CallError("name the activations to sync, or say --all" if not names else "name activations or say --all, not both")
    return list(loaded.activations.values()) if everything else [_activation(loaded, name) for name in dict.fromkeys(names)]


def _activation(loaded: Project, name: str) -> ActivationSpec:
    if name not in loaded.activations:
        raise CallError(f"there is no activation {name!r}{nearest_hint(name, loaded.activations)}")
    return loaded.activations[name]


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
        showing.show_rehearsal(spec, rehearsal, sent_to=target.storage.name if send else None)


def _refresh(loaded: Project, specs: list[ActivationSpec]) -> None:
    from dinmo_pipeline.engines.duckdb.tables import refresh

    wanted = {table.ref for spec in specs for table in loaded.tables_for(spec.source)}
    for ref, table in loaded.tables.items():
        if ref in wanted:
            refresh(loaded, table, reuse=True)
