"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.suggestions import nearest_hint

HERE = Path()
ProjectOption = Annotated[Path, typer.Option("--project", metavar="DIR", help="The project's folder, or one inside it.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="An activation.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
FAILED = 1
"""The exit code of a command that did not do all of its work, or found that something waits for a person."""


def sync_number(text: str) -> int:
    """Return the number of a sync, in words where it is none."""
    return _positive(text, "of a sync, as `dinmo history` lists them")


def row_count(text: str) -> int:
    """How many rows, one or more."""
    return _positive(text, "of rows, 1 or more")


def _positive(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise typer.BadParameter(f"{text!r} is no number {what}")
    return int(text)


def activation_named(loaded: Project, name: str) -> ActivationSpec:
    """Return the activation of this name; CallError with the nearest one where there is none."""
    if name not in loaded.activations:
        raise CallError(f"there is no activation {name!r}{nearest_hint(name, loaded.activations)}")
    return loaded.activations[name]


def chosen_activations(loaded: Project, names: list[str], *, everything: bool) -> list[ActivationSpec]:
    """Return the activations of these names, or all; CallError where neither or both are asked for."""
    if everything == bool(names):
        raise CallError("name the activations to sync, or say --all" if not names else "name activations or say --all, not both")
    return list(loaded.activations.values()) if everything else [activation_named(loaded, name) for name in dict.fromkeys(names)]
