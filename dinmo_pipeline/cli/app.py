"""The commands: each reads the project, calls the function that does the work, and shows what came of it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dinmo_pipeline.activity import telling
from dinmo_pipeline.cli.dagster.commands import instance_commands
from dinmo_pipeline.cli.dagster.dev import dev
from dinmo_pipeline.cli.forgetting import forget
from dinmo_pipeline.cli.homes import open_homes
from dinmo_pipeline.cli.inbound.inbox import dismiss, import_files, inbox_commands
from dinmo_pipeline.cli.inbound.profiling import profile
from dinmo_pipeline.cli.options import FAILED, HERE, ProjectOption
from dinmo_pipeline.cli.output import console
from dinmo_pipeline.cli.output import status as status_output
from dinmo_pipeline.cli.output import syncs as syncs_output
from dinmo_pipeline.cli.output.streams import guarded_streams
from dinmo_pipeline.cli.reports import explain, history, status
from dinmo_pipeline.cli.state import state_commands
from dinmo_pipeline.cli.stopping import stoppable
from dinmo_pipeline.cli.syncing import approve, baseline, redeliver, sync
from dinmo_pipeline.cli.template import make_project
from dinmo_pipeline.errors import BusyError, CallError, DefinitionErrors, DinmoError, StateError
from dinmo_pipeline.masking import masked_errors
from dinmo_pipeline.project.load import load_project, load_with_warnings
from dinmo_pipeline.project.schema.file_names import render_name
from dinmo_pipeline.project.settings import find_project_root
from dinmo_pipeline.storages.probe import check_storage
from dinmo_pipeline.storages.rights import delivery_umask, keep_new_files_private
from dinmo_pipeline.suggestions import nearest_hint
from dinmo_pipeline.sync.retention import Litter, clean_abandoned_scratch
from dinmo_pipeline.sync.service import SyncService

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_WRONG = 2


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.say(f"dinmo-pipeline {version('dinmo-pipeline')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Tables in, files out."""


def main() -> NoReturn:
    """Run the command line: 0 fine, 1 the work failed, 2 the definitions or the call are wrong, 130 and 143 it was stopped."""
    keep_new_files_private()
    with stoppable() as stop, telling(console.show_waiting):
        try:
            code = _run()
        except (Exception, KeyboardInterrupt):
            # Whatever came of a stop is the stop.
            if stop.signal is None:
                raise
            code = FAILED
        if stop.signal is not None and code != 0:
            console.complain(stop.sentence)
            code = stop.code
    sys.exit(code)


def _run() -> int:
    """Return the exit code of the command."""
    try:
        with masked_errors(), guarded_streams():
            app()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else FAILED
    except (DefinitionErrors, CallError) as error:
        console.complain(str(error))
        return _WRONG
    except DinmoError as error:
        console.complain(str(error))
        return FAILED
    return 0


def init(directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is new or empty.")]) -> None:
    """Make a project that works at once."""
    # Definitions are for all who work on them.
    os.umask(delivery_umask())
    files = make_project(directory)
    console.say(f"made {directory}: {', '.join(files)}")
    console.say("definitions live in files called defs.yaml, each in a folder of its own below defs; files of other names are not read")
    console.say(f"next: cd {shlex.quote(str(directory))} && dinmo check && dinmo sync --all")


def check(project: ProjectOption = HERE) -> None:
    """Find every mistake in the definitions, with file and line, and warn of what may surprise."""
    from dinmo_pipeline.engines.duckdb.queries.binding import bind_queries

    loaded = load_with_warnings(find_project_root(project))
    bound = bind_queries(loaded)
    if bound.problems:
        raise DefinitionErrors(bound.problems)
    warnings = [*map(str, (*loaded.warnings, *bound.unseen)), *open_homes(loaded.project)]
    for warning in warnings:
        console.warn(warning)
    status_output.show_checked(loaded.project, len(warnings))


def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be deleted, and delete nothing.")] = False,
    project: ProjectOption = HERE,
) -> None:
    """Delete what crashes left and what `keep_syncs` lets go: snapshots, temporary files, partitions and runs in Dagster.

    Runs whose process was killed are ended, and what has no definition any more leaves Dagster's catalogue.
    """
    from dinmo_pipeline.cli.dagster.cleaning import clean_runs

    loaded = load_project(find_project_root(project))
    found = list(clean_abandoned_scratch(loaded, dry_run=dry_run))
    for spec in loaded.activations.values():
        try:
            found += SyncService(loaded, spec).clean(dry_run=dry_run)
        except BusyError:
            console.warn(f"{spec.name}: a sync is at work, so it is left alone; clean again later")
        except StateError as error:
            found.append(Litter("activation", spec.name, "nobody knows what of it is needed", str(error)))
    found += clean_runs(loaded, dry_run=dry_run)
    syncs_output.show_cleaned(found, dry_run=dry_run)
    if any(each.problem for each in found):
        raise typer.Exit(FAILED)


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
        console.say(f"{folder} is {filled} now; that folder is tried")
    known = tuple(dict.fromkeys(each.folder for each in loaded.activations.values() if each.destination == storage and each.folder != "."))
    steps = [status_output.show_step(step) for step in check_storage(spec, root, folder=filled, known_folders=known)]
    if any(step.fails for step in steps):
        raise typer.Exit(FAILED)


_COMMANDS: dict[str, Callable[..., object]] = {
    "import": import_files,
    "dismiss": dismiss,
    "forget": forget,
    "profile": profile,
    "init": init,
    "check": check,
    "sync": sync,
    "status": status,
    "history": history,
    "explain": explain,
    "redeliver": redeliver,
    "approve": approve,
    "clean": clean,
    "baseline": baseline,
    "test": try_storage,
    "dev": dev,
}
for name, command in _COMMANDS.items():
    app.command(name)(command)
app.add_typer(inbox_commands, name="inbox")
app.add_typer(instance_commands, name="instance")
app.add_typer(state_commands, name="state")
