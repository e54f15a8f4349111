"""What guards and people did to the syncs of an activation, for its history: when, who, and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from dinmo_pipeline.delta.findings import Finding
from dinmo_pipeline.sync.ledger.codec import Checkpoint, Record
from dinmo_pipeline.sync.ledger.events import Approved, Baselined, Blocked, Redelivered, Renamed, Restored, Rewritten, Started, numbers_of

EventKind = Literal["blocked", "approved", "baseline", "renamed", "restored", "redelivered", "forgotten"]


@dataclass(frozen=True)
class Event:
    """`sync` is the sync that it happened to; of a rename, the first one that the log tells of afterwards, None while there is none.

    `by` is who did it, where somebody did and that is known. `findings` are what a guard found, also when it is approved.
    """

    kind: EventKind
    at: datetime
    sync: int | None
    by: str | None = None
    findings: tuple[Finding, ...] = ()
    renamed_from: str | None = None

    @property
    def what(self) -> str:
        """What was found or done, in words."""
        found = "; ".join(finding.message for finding in self.findings)
        if self.kind == "renamed":
            return f"it was called {self.renamed_from} before"
        if self.kind == "restored":
            return "the log was restored from an older backup; syncs up to this one may have been delivered without it"
        if self.kind == "forgotten":
            return "records were taken out of what is kept of the syncs up to then"
        if self.kind == "baseline":
            return "the rows of that moment count as delivered"
        return found


def events_of(records: Iterable[Record]) -> tuple[Event, ...]:
    """Return the events among these entries, in their order."""
    events: list[Event] = []
    found: dict[int, tuple[Finding, ...]] = {}
    for record in records:
        entry, at = record.entry, record.at
        if isinstance(entry, Checkpoint):
            continue
        if numbers := numbers_of(entry):
            events = [replace(event, sync=numbers[0]) if event.kind == "renamed" and event.sync is None else event for event in events]
        match entry:
            case Started(number):
                # A number of a log that was lost is given again.
                found.pop(number, None)
            case Blocked(number, findings):
                found[number] = findings
                events.append(Event("blocked", at, number, findings=findings))
            case Approved(number, by):
                events.append(Event("approved", at, number, by, found.get(number, ())))
            case Baselined(number=number, by=by):
                events.append(Event("baseline", at, number, by))
            case Redelivered(number=number):
                events.append(Event("redelivered", at, number))
            case Restored(number):
                events.append(Event("restored", at, number))
            case Rewritten(number=number, by=by):
                events.append(Event("forgotten", at, number, by))
            case Renamed(name):
                events.append(Event("renamed", at, None, renamed_from=name))
    return tuple(events)
