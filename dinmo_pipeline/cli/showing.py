"""What people see: tables and progress on a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from dinmo_pipeline.cli.health import Health
from dinmo_pipeline.cli.outcome import Imported, Outcome
from dinmo_pipeline.inbound.inbox.file_names import printable
from dinmo_pipeline.masking import masked
from dinmo_pipeline.project.consumers.limits import format_text
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.storages.probe import Step
from dinmo_pipeline.sync.history_events import Event
from dinmo_pipeline.sync.ledger.state import State, SyncRecord
from dinmo_pipeline.sync.retention import Litter
from dinmo_pipeline.sync.service import Delivery, Rehearsal

if TYPE_CHECKING:
    from dinmo_pipeline.cli.feed_health import FeedHealth, InboxHealth
    from dinmo_pipeline.inbound.troubles.troubles import Trouble

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)
# Ends of lines, and what joins letters and emoji.
_LEFT = "\n\u200c\u200d"
# What JSON lets stand, and terminals obey: commands of eight bits, ends of lines, changes of direction.
_COMMANDS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def say(text: str) -> None:
    """A line of the result."""
    _out.print(Text(_written(text)))


def warn(text: str) -> None:
    """A line about something that may surprise, beside the result."""
    _err.print(Text(_written(masked(f"warning: {text}")), style="yellow"))


def show_waiting(text: str) -> None:
    """That something is waited for, and to whoever sits at a terminal how to end that."""
    warn(f"{text}, Ctrl-C stops" if _err.is_terminal else text)


def complain(text: str) -> None:
    """Why the command failed."""
    _err.print(Text(_written(masked(text)), style="red"))


def follow(names: Iterable[str], work: Callable[[str], Outcome]) -> list[Outcome]:
    """Do the work for each name, one after the other, and show how far it is; in a pipe, a line for each problem as it comes.

    KeyboardInterrupt ends it, after what was done before is shown.
    """
    listed = list(names)
    outcomes: list[Outcome] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal) as progress:
        task = progress.add_task("", total=len(listed))
        for name in listed:
            progress.update(task, description=name)
            try:
                outcome = work(name)
            except KeyboardInterrupt:
                progress.stop()
                show_outcomes(outcomes)
                complain(f"{name}: interrupted; what it had begun to deliver is completed by its next sync")
                raise
            outcomes.append(outcome)
            progress.advance(task)
            if outcome.problem is not None:
                progress.console.print(Text(_written(f"{name}: {outcome.problem}"), style="red"))
    return outcomes


def show_checked(project: Project, warnings: int) -> None:
    """What a project without mistakes holds, and which options of formats come of the consumers of its activations."""
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
    listed = ", ".join(_plural(count, noun) for noun, count in counts.items() if count or noun not in ("inbox", "feed"))
    say(f"{listed}: no errors, {warnings} warning{'' if warnings == 1 else 's'}")


def show_outcomes(outcomes: Sequence[Outcome]) -> None:
    """What was delivered, a line a sync."""
    counts = ("rows", "added", "updated", "removed", "rows sent", "files", "bytes")
    rows = [
        (
            outcome.activation,
            str(delivery["sync"]),
            *(_count(delivery.get(name)) for name in counts),
            str(delivery["kind"]) + (f" → {to}" if (to := delivery.get("redirected to")) else ""),
        )
        for outcome in outcomes
        for delivery in outcome.deliveries
    ]
    if rows:
        show_table(("activation", "sync", "rows", "added", "updated", "removed", "sent", "files", "bytes", "what"), rows, texts=(0, 9))
    for outcome in outcomes:
        for delivery in outcome.deliveries:
            for told in ("warnings", "notes"):
                if delivery.get(told):
                    warn(f"{outcome.activation}: {delivery[told]}")
            if delivery.get("rolled forward"):
                warn(f"{outcome.activation}: sync {delivery['sync']} had been left half delivered; it is complete now, as it was begun")
        if outcome.deliveries and outcome.deliveries[-1].get("rolled forward"):
            warn(f"{outcome.activation}: run it again for what has changed since")


def show_files(imported: Imported) -> Imported:
    """A line a file, as its run ends."""
    for file in imported.files:
        counts = [f"{file['rows']:,} of {file['records']:,} records loaded"]
        counts += [f"{file['skipped']:,} skipped, without a key"] * bool(file["skipped"])
        counts += [f"{file['rejected']:,} rejected"] * bool(file["rejected"])
        if file["outcome"] == "loaded":
            say(f"{file['file']}: {', '.join(counts)}")
        else:
            say(f"{file['file']}: {file['outcome']}: {file['reason'].removeprefix(file['file'] + ': ')}")
        for warning in [file["warnings"]] if "warnings" in file else []:
            warn(f"{file['file']}: {warning}")
    for note in imported.notes:
        warn(note)
    if imported.problem is not None:
        complain(f"{imported.feed}: {imported.problem}")
    return imported


def show_imported(inbox: str, imported: Sequence[Imported]) -> bool:
    """The sums over an inbox's files; whether somebody has to look at one."""
    files = [file for outcome in imported for file in outcome.files]
    sums = {name: sum(file[name] for file in files) for name in ("rows", "skipped", "rejected")}
    stopped = [file for file in files if file["outcome"] in ("refused", "blocked")]
    told = f"{_plural(sum(file.get('files', 1) for file in files), 'file')}, {_plural(sums['rows'], 'record')} loaded"
    told += f", {sums['skipped']:,} skipped, {sums['rejected']:,} rejected" * bool(files)
    say(f"{inbox}: {told}" + f"; {len(stopped):,} refused or blocked" * bool(stopped))
    return bool(stopped) or any(outcome.problem is not None for outcome in imported)


def show_troubles(troubles: Sequence[Trouble]) -> bool:
    """A line each of what waits for a person in an inbox; whether there is any."""
    for trouble in troubles:
        (complain if trouble.is_severe else warn)(str(trouble))
    return bool(troubles)


def trouble_entry(trouble: Trouble) -> dict[str, str | None]:
    """A trouble as programs get it."""
    names = ("inbox", "feed", "file", "kind", "reason", "advice")
    return {**{name: getattr(trouble, name) for name in names}, "since": trouble.since.isoformat()}


def show_status(lines: Sequence[Health], feeds: Sequence[FeedHealth], inboxes: Sequence[InboxHealth], *, as_json: bool) -> None:
    """One line a feed, one line an activation, and one line for each thing that waits for a person in an inbox."""
    if as_json:
        show_json(
            [
                *(
                    {**asdict(feed), "imported_at": _iso(feed.imported_at), "troubles": [trouble_entry(each) for each in feed.troubles]}
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
                        "last_delivered": _iso(line.last_delivered),
                        "rows": line.rows,
                        "next_due": _iso(line.next_due),
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
        (line.activation, line.health, _when(line.last_delivered), _count(line.rows), _when(line.next_due), line.advice) for line in lines
    ]
    show_table(("activation", "health", "last delivered", "rows", "next due", "what to do"), rows, texts=(0, 1, 2, 4, 5))
    troubles = [each for feed in feeds for each in feed.troubles] + [each for inbox in inboxes for each in inbox.troubles]
    if troubles:
        say("")
        told = [
            (each.inbox, each.feed or "-", each.file or "-", each.kind, _when(each.since), each.reason, each.advice) for each in troubles
        ]
        show_table(("inbox", "feed", "file", "what", "since", "why", "what to do"), told, texts=range(7))


def _show_feeds(feeds: Sequence[FeedHealth]) -> None:
    rows = [
        (
            feed.feed,
            feed.health,
            _when(feed.imported_at),
            feed.last_file or "-",
            *(_count(count) for count in (feed.loaded, feed.rejected, feed.rows)),
            feed.advice,
        )
        for feed in feeds
    ]
    show_table(("feed", "health", "last import", "last file", "loaded", "rejected", "rows", "what to do"), rows, texts=(0, 1, 2, 3, 7))
    say("")


def show_history(spec: ActivationSpec, state: State, events: Sequence[Event], *, files: bool, as_json: bool) -> None:
    """Every sync, oldest first, then what guards and people did, in order; with `files`, every file after that."""
    syncs = [history_entry(sync, state, events) for _, sync in sorted(state.syncs.items())]
    if as_json:
        show_json(syncs)
        return
    if not syncs:
        say(f"{spec.name} has never been synced: `dinmo sync {spec.name}`")
        return
    rows = [
        (
            str(sync["sync"]),
            f"{datetime.fromisoformat(sync['instant']).astimezone(ZoneInfo(spec.timezone)):%Y-%m-%d %H:%M:%S %Z}",
            sync["state"],
            sync["mode"] or "-",
            _base(sync),
            *(_count(sync[name]) for name in ("rows", "added", "updated", "removed")),
            str(len(sync["files"])),
            _count(sync["bytes"]),
            "-" if sync["seconds"] is None else f"{sync['seconds']:.1f}",
            "; ".join(filter(None, (sync["reason"], *sync["warnings"], *sync["notes"]))),
        )
        for sync in syncs
    ]
    columns = ("sync", "instant", "state", "mode", "base", "rows", "added", "updated", "removed", "files", "bytes", "seconds", "why")
    show_table(columns, rows, texts=(1, 2, 3, 12))
    if events:
        say("")
        zone = ZoneInfo(spec.timezone)
        told = [
            (
                f"{event.at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}",
                "-" if event.sync is None else str(event.sync),
                event.kind,
                event.by or "-",
                event.what,
            )
            for event in events
        ]
        show_table(("when", "sync", "what", "by", "why"), told, texts=(0, 2, 3, 4))
    if files:
        show_table(
            ("sync", "file", "rows", "bytes", "SHA-256"),
            [
                (str(sync["sync"]), file["path"], f"{file['rows']:,}", f"{file['bytes']:,}", file["sha256"])
                for sync in syncs
                for file in sync["files"]
            ],
            texts=(1, 4),
        )


def _base(sync: Mapping[str, Any]) -> str:
    if sync["compared_with"] is None:
        return "-"
    return f"{sync['compared_with']}{' (not sent)' if sync['base'] is None else ''}"


def history_entry(sync: SyncRecord, state: State, events: Sequence[Event] = ()) -> dict[str, Any]:
    """A sync as programs get it; `compared_with` is the number of the sync that it was compared with.

    `base` is the same, where that one was sent: null after a baseline, of which nobody was sent anything, and where there is none.
    Of `events`, which are the activation's, it gets its own.
    """
    export, delivery = sync.export, sync.delivery
    reasons = "; ".join(finding.message for finding in sync.findings)
    counts = export.counts if export is not None else None
    promised = export.contract if export is not None else sync.snapshot.contract if sync.snapshot is not None else None
    return {
        "sync": sync.number,
        "label": sync.label,
        "instant": sync.instant.isoformat(),
        "state": state_word(sync, state),
        "reason": reasons or (export.reason if export is not None else ""),
        "run_type": promised.run_type.value if promised is not None else None,
        "mode": promised.sync_mode.value if promised is not None else None,
        "full": sync.full,
        "base": export.received_base if export is not None else None,
        "compared_with": export.base if export is not None else None,
        "rows": counts.rows if counts is not None else sync.snapshot.rows if sync.snapshot is not None else None,
        "added": counts.added if counts is not None else None,
        "updated": counts.updated if counts is not None else None,
        "removed": counts.removed if counts is not None else None,
        "files": [
            {"path": put.path, "change": put.change.value, "rows": put.rows, "bytes": put.bytes, "sha256": put.sha256}
            for put in (export.puts if export is not None else ())
        ],
        "bytes": export.bytes if export is not None else None,
        "delivered_at": _iso(sync.delivered_at),
        "redelivered_at": _iso(sync.redelivered_at),
        "seconds": delivery.seconds if delivery is not None else None,
        "warnings": [finding.message for finding in sync.warnings],
        "notes": list(delivery.notes) if delivery is not None else [],
        "events": [_event_entry(event) for event in events if event.sync == sync.number],
    }


def _event_entry(event: Event) -> dict[str, Any]:
    return {
        "event": event.kind,
        "at": event.at.isoformat(),
        "by": event.by,
        "what": event.what,
        "findings": [asdict(finding) for finding in event.findings],
        "renamed_from": event.renamed_from,
    }


def state_word(sync: SyncRecord, state: State) -> str:
    """Where a sync stands, in a word or two."""
    if sync.is_baseline:
        return "baseline"
    if sync.delivery is not None:
        return "completed later" if sync.delivery.rolled_forward else "delivered"
    if state.open_intent is not None and state.open_intent.number == sync.number:
        return "half delivered"
    if sync.redirected:
        return "redirected"
    if (state.newest is not None and state.newest.number > sync.number) or sync.number <= state.used:
        return "superseded"
    return "blocked" if sync.findings and not sync.approved else "not delivered"


def show_step(step: Step) -> Step:
    """One step of trying a storage, as it ends."""
    mark, style = ("✓", "green") if step.problem is None else ("✗", "red") if step.fails else ("!", "yellow")
    _out.print(Text(f"{mark} {step.name}  {step.seconds:.2f} s", style=style))
    if step.fails:
        complain(step.problem or "")
    elif step.problem is not None:
        warn(f"{step.problem}. A delivery works without; what does not: {step.spoils}")
    return step


def show_rehearsal(spec: ActivationSpec, rehearsal: Rehearsal, *, sent_to: str | None) -> None:
    """What would be sent, or was sent where it does not count."""
    export = rehearsal.export
    counts = {name: getattr(export.counts, name) for name in ("added", "updated", "removed")}
    told = ", ".join(f"{_count(count)} {name}" for name, count in counts.items() if count is not None)
    kind = f"full ({export.reason})" if export.reason else f"what changed since {export.base_text}"
    say(f"{spec.name}: {export.counts.rows:,} rows{': ' + told if told else ''}; {kind}")
    verb = f"sent to {sent_to}" if sent_to is not None else "would send"
    for put in export.puts:
        say(f"  {verb}: {put.path}  {put.rows:,} rows, {put.bytes:,} bytes")
    for note in export.notes:
        warn(f"{spec.name}: {note}")
    for finding in export.warnings:
        warn(f"{spec.name}: {finding.message}")
    for finding in rehearsal.findings:
        warn(f"{spec.name}: a guard would stop this sync: {finding.message}")
    for sample in rehearsal.samples:
        if sample.rows:
            say(f"  first rows, {sample.change.value}:")
            rows = [tuple("" if value is None else value for value in row) for row in sample.rows]
            show_table(sample.names, rows, texts=range(len(sample.names)))


def show_redelivered(spec: ActivationSpec, deliveries: Sequence[Delivery], *, sent_to: str | None) -> None:
    """What was delivered once more, and whether its bytes are those of the first time."""
    for delivery in deliveries:
        where = f" to {sent_to}" if sent_to is not None else ""
        say(f"{spec.name}: sync {delivery.export.number} delivered again{where}")
        for put in delivery.export.puts:
            say(f"  {put.path}  {put.rows:,} rows, {put.bytes:,} bytes")
        for note in delivery.outcome.notes:
            warn(f"{spec.name}: {note}")


def show_cleaned(found: Sequence[Litter], *, dry_run: bool) -> None:
    """What was deleted, or would be, and a line that counts it."""
    if found:
        show_table(("what", "where", "why"), [(each.what, each.where, each.problem or each.why) for each in found], texts=range(3))
    deleted = sum(not each.problem for each in found)
    say(f"{deleted:,} {'would be' if dry_run else 'was' if deleted == 1 else 'were'} deleted" if found else "there is nothing to delete")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: Collection[int]) -> None:
    """A table for people, tab-separated lines for a pipe; the columns number `texts` are no numbers."""
    if not _out.is_terminal:
        # One line a row, tabs between: for `cut`, `awk` and eyes.
        for row in (columns, *rows):
            print("\t".join(_one_line(value) for value in row))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if index in texts else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_one_line(value)) for value in row))
    Console(highlight=False).print(table)


def show_rows(columns: Sequence[str], rows: Iterable[Sequence[str]], *, texts: Collection[int]) -> None:
    """`show_table` of rows that take their time: each is shown as it comes."""
    for number, row in enumerate(rows):
        if not _out.is_terminal:
            for line in (columns, row) if number == 0 else (row,):
                print("\t".join(_one_line(value) for value in line), flush=True)
            continue
        # The whole width, so that the columns of all rows have one place.
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True, show_header=number == 0)
        for index, column in enumerate(columns):
            is_text = index in texts
            table.add_column(Text(column), justify="left" if is_text else "right", overflow="fold", ratio=2 if is_text else 1)
        table.add_row(*(Text(_one_line(value)) for value in row))
        Console(highlight=False).print(table)


def _one_line(value: str) -> str:
    return _written(value.replace("\t", " ").replace("\n", " ").replace("\r", " "))


def _written(text: str) -> str:
    """`text` as a terminal shows it and does nothing else: values of others may hold its commands, or turn the direction of a line."""
    return "".join(character if character in _LEFT else printable(character) for character in text)


def show_json(value: Any) -> None:
    """A value for programs; on a terminal it does nothing but show, either."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(_COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('x') else 's'}"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant is not None else None


def _when(instant: datetime | None) -> str:
    return "-" if instant is None else f"{instant:%Y-%m-%d %H:%M %Z}"
