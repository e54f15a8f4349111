"""Show whether a project, its activations, feeds and storages are fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from dinmo_pipeline.cli.health import Health
from dinmo_pipeline.project.consumers.limits import format_text
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.storages.probe import Step

if TYPE_CHECKING:
    from dinmo_pipeline.cli.inbound.feed_health import FeedHealth, InboxHealth
from dinmo_pipeline.cli.output.console import OUT, complain, count_text, iso_text, plural, say, show_json, show_table, warn, when_text
from dinmo_pipeline.cli.output.inbound import trouble_entry


def show_checked(project: Project, warnings: int) -> None:
    """Print what a project without mistakes holds, and which options of formats come of the consumers of its activations."""
    for spec in project.activations.values():
        if spec.consumer is not None:
            say(f"{spec.name}: consumer {spec.consumer}: {format_text(spec.format)}")
    models = sum(ref.kind == "models" for ref in project.tables)
    counts = {
        "model": models,
        "segment": len(project.tables) - models,
        "inbox": len(project.inboxes),
        "feed": len(project.feeds),
        "storage": len(project.storages),
        "activation": len(project.activations),
    }
    listed = ", ".join(plural(count, noun) for noun, count in counts.items() if count or noun not in ("inbox", "feed"))
    say(f"{listed}: no errors, {warnings} warning{'' if warnings == 1 else 's'}")


def show_status(lines: Sequence[Health], feeds: Sequence[FeedHealth], inboxes: Sequence[InboxHealth], *, as_json: bool) -> None:
    """Print one line a feed, one line an activation, and one line for each thing that waits for a person in an inbox."""
    if as_json:
        show_json(
            [
                *(
                    {**asdict(feed), "imported_at": iso_text(feed.imported_at), "troubles": [trouble_entry(each) for each in feed.troubles]}
                    for feed in feeds
                ),
                *(
                    {"inbox": inbox.inbox, "health": inbox.troubles[0].kind, "troubles": [trouble_entry(each) for each in inbox.troubles]}
                    for inbox in inboxes
                    if inbox.troubles
                ),
                *(
                    {
                        "activation": line.activation,
                        "health": line.health,
                        "last_sync": line.last_sync,
                        "last_delivered": iso_text(line.last_delivered),
                        "rows": line.rows,
                        "next_due": iso_text(line.next_due),
                        "advice": line.advice,
                        "late": line.late,
                    }
                    for line in lines
                ),
            ]
        )
        return
    if feeds:
        _show_feeds(feeds)
    rows = [
        (line.activation, line.health, when_text(line.last_delivered), count_text(line.rows), when_text(line.next_due), line.advice)
        for line in lines
    ]
    show_table(("activation", "health", "last delivered", "rows", "next due", "what to do"), rows, texts=(0, 1, 2, 4, 5))
    troubles = [each for feed in feeds for each in feed.troubles] + [each for inbox in inboxes for each in inbox.troubles]
    if troubles:
        say("")
        told = [
            (each.inbox, each.feed or "-", each.file or "-", each.kind, when_text(each.since), each.reason, each.advice)
            for each in troubles
        ]
        show_table(("inbox", "feed", "file", "what", "since", "why", "what to do"), told, texts=range(7))


def _show_feeds(feeds: Sequence[FeedHealth]) -> None:
    rows = [
        (
            feed.feed,
            feed.health,
            when_text(feed.imported_at),
            feed.last_file or "-",
            *(count_text(count) for count in (feed.loaded, feed.rejected, feed.rows)),
            feed.advice,
        )
        for feed in feeds
    ]
    show_table(("feed", "health", "last import", "last file", "loaded", "rejected", "rows", "what to do"), rows, texts=(0, 1, 2, 3, 7))
    say("")


def show_step(step: Step) -> Step:
    """Return one step of trying a storage, as it ends."""
    mark, style = ("✓", "green") if step.problem is None else ("✗", "red") if step.fails else ("!", "yellow")
    OUT.print(Text(f"{mark} {step.name}  {step.seconds:.2f} s", style=style))
    if step.fails:
        complain(step.problem or "")
    elif step.problem is not None:
        warn(f"{step.problem}. A delivery works without; what does not: {step.spoils}")
    return step
