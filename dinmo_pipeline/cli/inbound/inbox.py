"""The commands about inboxes: their folders are made, their files imported."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from dinmo_pipeline.activity import doing
from dinmo_pipeline.cli.options import HERE, ProjectOption
from dinmo_pipeline.cli.outcome import Imported
from dinmo_pipeline.cli.output import console
from dinmo_pipeline.cli.output import inbound as inbound_output
from dinmo_pipeline.errors import CallError, DinmoError
from dinmo_pipeline.inbound.inbox.discovery import InboxScan
from dinmo_pipeline.inbound.inbox.folders import ALL, Folders
from dinmo_pipeline.inbound.inbox.scan_state import Fingerprint
from dinmo_pipeline.inbound.troubles.open_troubles import open_troubles
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboxSpec
from dinmo_pipeline.project.load import LoadedProject, load_project, load_with_warnings
from dinmo_pipeline.project.operators import current_operator
from dinmo_pipeline.project.settings import find_project_root
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.storages.retrying import connection_to
from dinmo_pipeline.storages.waiting import allow_waiting
from dinmo_pipeline.suggestions import nearest_hint

if TYPE_CHECKING:
    from dinmo_pipeline.cli.dagster.running import Runner

inbox_commands = typer.Typer(no_args_is_help=True, help="Where others drop files.")

_FAILED = 1
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_TOLD_WAIT_S = 2


@inbox_commands.command()
def create(name: Annotated[str, typer.Argument(metavar="NAME", help="An inbox.")], project: ProjectOption = HERE) -> None:
    """Make the folders of an inbox on its storage; those that are there stay as they are."""
    loaded = load_project(find_project_root(project))
    inbox = _inbox(loaded, name)
    with connection_to(loaded.storages[inbox.storage], loaded.root) as remote:
        Folders(remote, inbox).make_all()
    console.say(f"{name}: {', '.join(ALL)} are in folder {inbox.folder} of {inbox.storage}; files dropped into raw are imported")


def approve_file(loaded: LoadedProject, feed: FeedSpec) -> None:
    """Let the file of a feed that a guard stopped pass, and import it."""
    from dinmo_pipeline.inbound.import_pass import InboxPass

    with InboxPass(loaded.project, feed.inbox) as held:
        console.say(f"approved: {held.approve(feed.name, by=current_operator())}")
    _import(loaded, [loaded.project.inboxes[feed.inbox]])


def dismiss(
    feed: Annotated[str, typer.Argument(metavar="FEED", help="A feed.")],
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="The file's name; all that are open by default.")] = None,
    project: ProjectOption = HERE,
) -> None:
    """Close refused files of a feed, and rejected records, that nobody will correct; who did so and when is kept."""
    from dinmo_pipeline.inbound.import_pass import InboxPass
    from dinmo_pipeline.inbound.troubles.alerts import notify_troubles

    loaded = load_project(find_project_root(project))
    if feed not in loaded.feeds:
        raise CallError(f"there is no feed {feed!r}{nearest_hint(feed, loaded.feeds)}")
    with InboxPass(loaded, loaded.feeds[feed].inbox) as held:
        for name in held.dismiss(loaded.feeds[feed], file, by=current_operator()):
            console.say(f"dismissed: {name}")
    for line in notify_troubles(loaded, loaded.feeds[feed].inbox):
        console.warn(line)


def import_files(
    names: Annotated[list[str] | None, typer.Argument(metavar="INBOX…", help="Inboxes; all by default.")] = None,
    project: ProjectOption = HERE,
) -> None:
    """Import the files that lie in inboxes, once they stand still. Ends with 1 when anything waits for a person."""
    loaded = load_with_warnings(find_project_root(project))
    inboxes = [_inbox(loaded.project, name) for name in dict.fromkeys(names or loaded.project.inboxes)]
    if not inboxes:
        raise CallError("the project has no inbox; define an Inbox and a Feed for the files that others drop")
    _import(loaded, inboxes)


def _import(loaded: LoadedProject, inboxes: Iterable[InboxSpec]) -> None:
    from dinmo_pipeline.cli.dagster.running import Runner
    from dinmo_pipeline.inbound.troubles.alerts import notify_troubles
    from dinmo_pipeline.operations.deadlines import notify_deadlines

    failed = False
    with Runner(loaded) as runner, allow_waiting(console.show_waiting):
        for inbox in inboxes:
            try:
                with doing(inbox.name, stopped="what was loaded stays, and the next import takes the rest"):
                    failed |= inbound_output.show_imported(inbox.name, _import_inbox(runner, loaded.project, inbox))
            except CallError:
                raise
            except DinmoError as error:
                # The other inboxes may be fine.
                console.complain(f"{inbox.name}: {error}")
                failed = True
            for line in notify_troubles(loaded.project, inbox.name):
                console.warn(f"{inbox.name}: {line}")
            failed |= inbound_output.show_troubles([each for each in open_troubles(loaded.project, inbox.name) if each.kind != "failed"])
    for line in notify_deadlines(loaded.project):
        console.warn(line)
    if failed:
        raise typer.Exit(_FAILED)


def _import_inbox(runner: Runner, project: Project, inbox: InboxSpec) -> list[Imported]:
    """Return one run of each feed that has files which are due, until nothing waits; a feed whose run failed is left alone."""
    imported: list[Imported] = []
    feeds = [feed.name for feed in project.feeds.values() if feed.inbox == inbox.name]
    tried: set[tuple[str, Fingerprint]] = set()
    again: list[str] | None = None
    for seen in _scan_state(project, inbox):
        due = dict.fromkeys(arrival.match.feed.name for arrival in seen.due if (arrival.path, arrival.sight) not in tried)
        tried.update((arrival.path, arrival.sight) for arrival in seen.due)
        if again is None:
            # Once a command: what was set aside or cut off, where it makes no feed due by itself.
            again = [aside.feed for aside in seen.set_aside if aside.feed in feeds]
            again += feeds[:1] * (seen.cut_off and not due and not again)
            due |= dict.fromkeys(again)
        failed = {outcome.feed for outcome in imported if outcome.problem is not None}
        for name in due:
            if name not in failed:
                imported.append(inbound_output.show_files(runner.import_files(name)))
    return imported


def _scan_state(project: Project, inbox: InboxSpec) -> Iterator[InboxScan]:
    """Scan the inbox for as long as files there may come to stand still."""
    # The readers of files are not loaded for commands that read none.
    from dinmo_pipeline.inbound.import_pass import InboxPass

    end = time.monotonic() + 2 * inbox.settle_seconds + 1
    told = inbox.settle_seconds < _TOLD_WAIT_S
    while True:
        with InboxPass(project, inbox.name) as held:
            seen = held.look()
        yield seen
        if not seen.waiting:
            return
        if inbox.done_file is not None or time.monotonic() > end:
            why = "its done file" if inbox.done_file is not None else "it to stand still"
            for path in seen.waiting:
                console.warn(f"{path} waits for {why}")
            return
        if not told:
            told = True
            files = "1 file" if len(seen.waiting) == 1 else f"{len(seen.waiting)} files"
            console.show_waiting(f"{inbox.name}: waiting {inbox.settle_seconds} s for {files} to settle")
        time.sleep(min(max(inbox.settle_seconds / 10, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S))


def _inbox(loaded: Project, name: str) -> InboxSpec:
    if name not in loaded.inboxes:
        raise CallError(f"there is no inbox {name!r}{nearest_hint(name, loaded.inboxes)}")
    return loaded.inboxes[name]
