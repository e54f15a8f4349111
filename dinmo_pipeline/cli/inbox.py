"""The commands about inboxes."""

from __future__ import annotations

from typing import Annotated

import typer

from dinmo_pipeline.cli import showing
from dinmo_pipeline.cli.options import HERE, ProjectOption
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.inbound.folders import ALL, Folders
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.nearest import nearest_hint
from dinmo_pipeline.project.settings import find_project_root
from dinmo_pipeline.project.specs import InboxSpec, Project
from dinmo_pipeline.storages.retried import RetriedStorage

inbox_commands = typer.Typer(no_args_is_help=True, help="Where others drop files.")


@inbox_commands.command()
def create(name: Annotated[str, typer.Argument(metavar="NAME", help="An inbox.")], project: ProjectOption = HERE) -> None:
    """Make the folders of an inbox on its storage; those that are there stay as they are."""
    loaded = load_project(find_project_root(project))
    inbox = inbox_called(loaded, name)
    with RetriedStorage(loaded.storages[inbox.storage], loaded.root) as remote:
        Folders(remote, inbox).make_all()
    showing.say(f"{name}: {', '.join(ALL)} are in folder {inbox.folder} of {inbox.storage}; files dropped into raw are imported")


def inbox_called(loaded: Project, name: str) -> InboxSpec:
    """The inbox of this name; CallError with the nearest one."""
    if name not in loaded.inboxes:
        raise CallError(f"there is no inbox {name!r}{nearest_hint(name, loaded.inboxes)}")
    return loaded.inboxes[name]
