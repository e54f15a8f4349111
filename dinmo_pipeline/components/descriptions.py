"""What Dagster's UI says of assets and jobs that their authors left without a description."""

from __future__ import annotations

from collections.abc import Sequence

from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.specs import ActivationSpec, RunType, SyncMode, TableSpec

_MODES = {
    SyncMode.SNAPSHOT: "all rows",
    SyncMode.UPSERT: "the rows that were added or updated since the last delivery",
    SyncMode.INSERT: "the rows that were never sent before",
    SyncMode.DIFFERENCE: "what was added, updated and removed since the last delivery, in a file each",
}


def describe_table(spec: TableSpec) -> str:
    """Return the author's words, or where the rows come from."""
    read = ", ".join(map(str, spec.depends_on))
    return spec.description or (f"Made by a query over {read}." if read else "Made by a query.")


def describe_feed(feed: FeedSpec) -> str:
    """Return what its files are called, and what becomes of their records."""
    kept = {
        "merge": "the newest version of each record is kept",
        "append": "every record of every file is kept",
        "replace": "the newest file is the table",
    }
    ending = "csv" if feed.csv is not None else "json"
    return f"Files {feed.name}_YYYYMMDD.{ending} of inbox {feed.inbox}: {kept[feed.load]}."


def describe_import(feed: FeedSpec) -> str:
    """Return what a run of it takes, and who starts it."""
    return (
        f"Imports every file of {feed.ref} that is due. The sensor of inbox {feed.inbox} starts it; by hand, any partition will do: "
        "a partition stands for one file, and a run takes all that are there and whole."
    )


def describe_entity(feeds: Sequence[FeedSpec]) -> str:
    """Return which feeds it is made of."""
    return f"The rows of {', '.join(str(feed.ref) for feed in feeds)}, one under another, by the names of their columns."


def describe_snapshot(spec: ActivationSpec) -> str:
    """Return what the rows are kept for."""
    return (
        f"The rows of {spec.source} as a sync of {spec.name} found them. Once that sync is delivered, the next one is compared with them; "
        "until then they change nothing."
    )


def describe_delivery(spec: ActivationSpec) -> str:
    """Return the author's words, or what is sent where."""
    sent = "all rows" if spec.run_type == RunType.FULL_ONLY else _MODES[spec.sync_mode]
    return spec.description or f"Sends {spec.source} to {spec.destination}, as {spec.format.type}: {sent}."


def describe_guards(spec: ActivationSpec) -> str:
    """Return what stops a sync."""
    if spec.fail_if is None:
        return "Stops a sync whose source turned empty, or lost more than half of 1,000 rows or more, until it is approved."
    limits = ", ".join(f"{limit.measure} {limit.text}" for limit in spec.fail_if)
    return f"Stops a sync until it is approved, if {limits}." if limits else "Stops no sync for its numbers: fail_if is empty."


def describe_warnings(spec: ActivationSpec) -> str:
    """Return what is told of a sync."""
    return f"Warns if {', '.join(f'{limit.measure} {limit.text}' for limit in spec.warn_if)}."


def describe_schedule(spec: ActivationSpec) -> str:
    """Return what each of its ticks does, and when there is none."""
    return (
        f"Starts a sync of {spec.name}: a tick that comes while one runs waits, a further one is dropped. While a failure that trying "
        "again does not cure is young, ticks are skipped and say why."
    )


def describe_job(spec: ActivationSpec) -> str:
    """Return what it delivers, and how a person starts it."""
    return (
        f"{describe_delivery(spec)}\n\nTo start a sync by hand: *Materialize all…*, *Add a partition* with any new name, *Launch 1 run*. "
        "A partition stands for one sync."
    )
