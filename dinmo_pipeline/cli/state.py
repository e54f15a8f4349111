"""The state of a project: begin it, sign it."""

from __future__ import annotations

from typing import Annotated

import typer

from dinmo_pipeline.cli.options import HERE, ProjectOption, chosen_activations
from dinmo_pipeline.cli.output import console
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.settings import find_project_root
from dinmo_pipeline.sync.backends.open import open_state

state_commands = typer.Typer(no_args_is_help=True, help="What is known of the syncs that were delivered.")


@state_commands.command("init")
def state_init(project: ProjectOption = HERE) -> None:
    """Let state begin where `DINMO_STATE_URL` or `DINMO_HOME` says; needed once where `DINMO_REQUIRE_STATE` is set."""
    state = open_state(load_project(find_project_root(project)))
    begun = state.backend.begin()
    console.say(f"state begins at {state.place}" if begun else f"there is state at {state.place} already; nothing was changed")


@state_commands.command("sign")
def state_sign(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Activations.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every activation.")] = False,
    project: ProjectOption = HERE,
) -> None:
    """Take the logs for true as they stand now; from then on only entries count that were written with `DINMO_STATE_KEY`."""
    loaded = load_project(find_project_root(project))
    state = open_state(loaded)
    for spec in chosen_activations(loaded, names or [], everything=everything):
        log = state.log(loaded, spec)
        with log.locked():
            console.say(f"{spec.name}: {log.vouch():,} entries are taken for true; others count only if they are signed")
