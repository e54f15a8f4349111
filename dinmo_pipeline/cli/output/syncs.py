"""Show syncs: how far they are, what was delivered, what would be, and their history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from dinmo_pipeline.activity import current_step, doing
from dinmo_pipeline.cli.outcome import Outcome
from dinmo_pipeline.cli.output.console import ERR, count_text, iso_text, say, show_json, show_table, warn, written
from dinmo_pipeline.project.specs import ActivationSpec
from dinmo_pipeline.sync.history_events import Event
from dinmo_pipeline.sync.ledger.state import State, SyncRecord
from dinmo_pipeline.sync.retention import Litter
from dinmo_pipeline.sync.service import Delivery, Rehearsal


class _StepColumn(ProgressColumn):
    """What the work of a task is at."""

    def render(self, task: Task) -> Text:
        return Text(written(current_step()))


def follow(names: Iterable[str], work: Callable[[str], Outcome]) -> list[Outcome]:
    """Do the work for each name, one after the other, and show how far it is; in a pipe, a line for each problem as it comes.

    KeyboardInterrupt ends it, after what was done before is shown.
    """
    listed = list(names)
    outcomes: list[Outcome] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), _StepColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as progress:
        task = progress.add_task("", total=len(listed))
        for name in listed:
            progress.update(task, description=name)
            try:
                with doing(name, stopped="what it had begun to deliver is completed by its next sync"):
                    outcome = work(name)
            except KeyboardInterrupt:
                progress.stop()
                show_outcomes(outcomes)
                raise
            outcomes.append(outcome)
            progress.advance(task)
            if outcome.problem is not None:
                progress.console.print(Text(written(f"{name}: {outcome.problem}"), style="red"))
    return outcomes


def show_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print what was delivered, a line a sync."""
    rows = [
        (
            outcome.activation,
            str(sync.sync),
            *map(count_text, (sync.rows, sync.added, sync.updated, sync.removed, sync.rows_sent, sync.files, sync.bytes)),
            sync.kind + (f" → {sync.redirected_to}" if sync.redirected_to is not None else ""),
        )
        for outcome in outcomes
        for sync in outcome.deliveries
    ]
    if rows:
        show_table(("activation", "sync", "rows", "added", "updated", "removed", "sent", "files", "bytes", "what"), rows, texts=(0, 9))
    for outcome in outcomes:
        for sync in outcome.deliveries:
            for told in filter(None, (sync.warnings, sync.notes)):
                warn(f"{outcome.activation}: {told}")
            if sync.rolled_forward:
                warn(f"{outcome.activation}: sync {sync.sync} had been left half delivered; it is complete now, as it was begun")
        if outcome.deliveries and outcome.deliveries[-1].rolled_forward:
            warn(f"{outcome.activation}: run it again for what has changed since")


def show_history(spec: ActivationSpec, state: State, events: Sequence[Event], *, files: bool, as_json: bool) -> None:
    """Print every sync, oldest first, then what guards and people did, in order; with `files`, every file after that."""
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
            *(count_text(sync[name]) for name in ("rows", "added", "updated", "removed")),
            str(len(sync["files"])),
            count_text(sync["bytes"]),
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
    """Return a sync as programs get it; `compared_with` is the number of the sync that it was compared with.

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
        "delivered_at": iso_text(sync.delivered_at),
        "redelivered_at": iso_text(sync.redelivered_at),
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
    """Return where a sync stands, in a word or two."""
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


def show_rehearsal(spec: ActivationSpec, rehearsal: Rehearsal, *, sent_to: str | None) -> None:
    """Print what would be sent, or was sent where it does not count."""
    export = rehearsal.export
    counts = {name: getattr(export.counts, name) for name in ("added", "updated", "removed")}
    told = ", ".join(f"{count_text(count)} {name}" for name, count in counts.items() if count is not None)
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
    """Print what was delivered once more, and whether its bytes are those of the first time."""
    for delivery in deliveries:
        where = f" to {sent_to}" if sent_to is not None else ""
        say(f"{spec.name}: sync {delivery.export.number} delivered again{where}")
        for put in delivery.export.puts:
            say(f"  {put.path}  {put.rows:,} rows, {put.bytes:,} bytes")
        for note in delivery.outcome.notes:
            warn(f"{spec.name}: {note}")


def show_cleaned(found: Sequence[Litter], *, dry_run: bool) -> None:
    """Print what was deleted, or would be, and a line that counts it."""
    if found:
        show_table(("what", "where", "why"), [(each.what, each.where, each.problem or each.why) for each in found], texts=range(3))
    deleted = sum(not each.problem for each in found)
    say(f"{deleted:,} {'would be' if dry_run else 'was' if deleted == 1 else 'were'} deleted" if found else "there is nothing to delete")
