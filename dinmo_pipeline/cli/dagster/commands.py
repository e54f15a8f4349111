"""`dinmo instance`: what Dagster keeps its runs in, made before anything of Dagster's is started."""

from __future__ import annotations

import typer

from dinmo_pipeline.cli.dagster.instance import dagster_home_in, home_without_project, prepare_storage
from dinmo_pipeline.cli.options import HERE, ProjectOption
from dinmo_pipeline.cli.output import console
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.settings import find_project_root, read_settings

instance_commands = typer.Typer(no_args_is_help=True, help="What Dagster keeps its runs in.")


@instance_commands.callback()
def instance() -> None:
    """Have the group of one command be a group."""


@instance_commands.command("init")
def instance_init(project: ProjectOption = HERE) -> None:
    """Make Dagster's storage, mend it, and bring it up to the installed version; needed before Dagster's processes start at once.

    Call it before each start: it is quick, and one process does it at a time. Needs no project where `DAGSTER_HOME` is set.
    """
    try:
        home = dagster_home_in(read_settings(find_project_root(project)).home)
    except CallError:
        home = home_without_project()
    done = prepare_storage(home)
    console.say(f"Dagster's storage in {home}: {'; '.join(done) if done else 'nothing was to be done'}")
