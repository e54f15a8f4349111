"""What became of every file of a feed: imported, set aside, refused, approved, dismissed; and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dinmo_pipeline.cli.output import console
from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, ImportLedger
from dinmo_pipeline.inbound.troubles.events import Event, Events
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.specs import Project

_COUNTED = ("records", "loaded", "skipped", "rejected")


def show_feed_history(project: Project, feed: FeedSpec, *, as_json: bool) -> None:
    """Print every file of the feed, and what became of it, oldest first."""
    entries = _entries(project, feed)
    if as_json:
        console.show_json(entries)
        return
    if not entries:
        console.say(f"no file of {feed.name} was ever imported: drop one into raw of inbox {feed.inbox}, then `dinmo import`")
        return
    rows = [
        (
            f"{datetime.fromisoformat(entry['at']).astimezone(ZoneInfo(feed.timezone)):%Y-%m-%d %H:%M:%S %Z}",
            entry["file"],
            entry["outcome"],
            *("-" if entry[name] is None else f"{entry[name]:,}" for name in _COUNTED),
            entry["by"] or "-",
            "; ".join(filter(None, (entry["reason"], *entry["warnings"]))),
        )
        for entry in entries
    ]
    console.show_table(("when", "file", "what", *_COUNTED, "by", "why"), rows, texts=(0, 1, 2, 7, 8))


def _entries(project: Project, feed: FeedSpec) -> Sequence[dict[str, Any]]:
    if not project.warehouse_path.exists():
        return []
    with open_warehouse(project.warehouse_path, project.query_settings) as connection:
        files = [_of_file(made) for made in ImportLedger(connection).of_feed(feed.name, limit=None)]
        events = [_of_event(event) for event in Events(connection).of_feed(feed.name)]
    return sorted([*files, *events], key=lambda entry: datetime.fromisoformat(entry["at"]))


def _of_file(made: FileRecord) -> dict[str, Any]:
    return {
        "at": made.recorded_at.isoformat(),
        "file": made.path,
        "outcome": str(made.outcome),
        **{name: getattr(made, name) for name in _COUNTED},
        "reason": made.reason,
        "warnings": list(made.warnings),
        "by": None,
        "bytes": made.bytes,
        "sha256": made.sha256,
        "lies_in": made.target,
    }


def _of_event(event: Event) -> dict[str, Any]:
    absent = dict.fromkeys((*_COUNTED, "bytes", "sha256", "lies_in"))
    told: dict[str, Any] = {"file": event.file, "outcome": event.kind, "reason": event.reason, "warnings": [], "by": event.by}
    return {"at": event.at.isoformat(), **absent, **told}
