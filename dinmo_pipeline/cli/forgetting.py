"""`dinmo forget`: a person out of all that this product keeps, with a receipt for each place."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import typer

from dinmo_pipeline.cli.options import HERE, ProjectOption
from dinmo_pipeline.cli.output import console
from dinmo_pipeline.erasure.everywhere import forget_person
from dinmo_pipeline.erasure.person import FORM, Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.settings import find_project_root
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.storages.waiting import allow_waiting

_STANDARD_INPUT = "-"


def forget(
    person: Annotated[
        list[str],
        typer.Argument(
            metavar="WHO…",
            help=f"Whose records: {FORM}, several joined by ' and '; `-` reads one a line, so that no shell remembers it.",
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell where the person is, and change nothing.")] = False,
    project: ProjectOption = HERE,
) -> None:
    """Take a person out of all that is kept: the warehouse, snapshots, rejects, Dagster's runs. The next delta tells them as removed.

    Erase the person at the source first. Ends with 1 while anything is left that has to be done.
    """
    from dinmo_pipeline.cli.dagster.forgotten_runs import Runs

    loaded = load_project(find_project_root(project))
    described = Person.described(_lines() if person == [_STANDARD_INPUT] else person)
    with allow_waiting(console.show_waiting):
        is_left = _show(forget_person(loaded, described, dry_run=dry_run, more=[("Dagster's storage", Runs(loaded))]))
    for line in _for_people(loaded):
        console.say(line)
    if is_left:
        raise typer.Exit(1)


def _lines() -> list[str]:
    if sys.stdin.isatty():
        console.say(f"one a line, {FORM}; Ctrl-D ends it")
    try:
        return [line.rstrip("\r") for line in sys.stdin.read().split("\n") if line.strip()]
    except UnicodeDecodeError:
        raise CallError("reading whom to forget from standard input: it is no UTF-8") from None


def _show(receipts: Iterable[Receipt]) -> bool:
    """Show each as it comes: what was done is told, whatever stops the rest. Whether anything is left to do."""
    is_found = is_left = False

    def rows() -> Iterator[Sequence[str]]:
        nonlocal is_found, is_left
        for each in receipts:
            is_found, is_left = is_found or each.found > 0, is_left or bool(each.left)
            yield each.what, each.where, f"{each.found:,}", each.done or "left as it is", each.left

    console.show_rows(("what", "where", "records", "done", "left to do"), rows(), texts=(0, 1, 3, 4))
    if not (is_found or is_left):
        console.say("nothing that is kept has such a record")
    return is_left


def _for_people(project: Project) -> list[str]:
    """Return what this product does not do, because it is not its own: told each time, since an erasure is not done without it."""
    places = sorted({f"{spec.destination} ({spec.folder})" for spec in project.activations.values()})
    lines = [f"files that were delivered lie at {', '.join(places)}: their readers have to delete the person there"] if places else []
    if project.inboxes:
        archives = ", ".join(f"{inbox.storage} ({inbox.folder})" for inbox in project.inboxes.values())
        lines.append(f"files that others sent stay in imports at {archives} as they came: delete those whose time is over")
    return [*lines, "sources, backups and other machines' DINMO_HOME are not looked at; docs/personal-data.md has the whole list"]
