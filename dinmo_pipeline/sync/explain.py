"""Why a record was sent, or was not: what each sync whose rows are kept did with it, and what the next one would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from dinmo_pipeline.delta.build_contract import contract_of
from dinmo_pipeline.delta.export import Change, Snapshot
from dinmo_pipeline.engines.duckdb.lookup import Lookup, RecordOutcome
from dinmo_pipeline.engines.duckdb.session import Engine
from dinmo_pipeline.engines.duckdb.tables import made_at
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.specs import ActivationSpec, Project, RunType, SyncMode
from dinmo_pipeline.project.table_refs import TableColumn, TableRef
from dinmo_pipeline.sql.quoting import folded
from dinmo_pipeline.sync.backends.open import open_state
from dinmo_pipeline.sync.decide import find_base
from dinmo_pipeline.sync.deliver.locate import Location, locate
from dinmo_pipeline.sync.ledger.state import State, SyncRecord

_FILE_OF_FATE = {"sent": (Change.ADDED, Change.CHANGED, Change.ALL), "added": (Change.ADDED, Change.CHANGED), "removed": (Change.REMOVED,)}
_FILE_OF_FATE["updated"] = (Change.UPDATED, Change.CHANGED)


@dataclass(frozen=True)
class Told:
    """The record in one delivered sync: what was done with it, why, the files that it may be in, and its place in the one that has it.

    There is no `location` where nothing was sent, and where a file has the same values more than once.
    """

    sync: int
    instant: datetime
    fate: RecordOutcome
    why: str
    files: tuple[str, ...] = ()
    location: Location | None = None


@dataclass(frozen=True)
class Today:
    """The record as the warehouse has it since `at`, and what the next sync would do with it.

    `where`: in the source, in its model but not in the segment, or nowhere; unknown before the first refresh.
    """

    where: Literal["source", "filtered out", "nowhere", "unknown"]
    at: datetime | None
    fate: RecordOutcome | None
    why: str


@dataclass(frozen=True)
class Explanation:
    """All that is known of one record: delivered syncs oldest first, then today. `forgotten` syncs have no rows any more."""

    key: tuple[tuple[str, str], ...]
    told: tuple[Told, ...]
    forgotten: tuple[int, ...]
    today: Today


def explain_record(project: Project, spec: ActivationSpec, state: State, key: Sequence[str]) -> Explanation:
    """Return what happened to the record whose primary key has these values, as text.

    CallError for too few or many, and for what is no text.
    """
    for value in key:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise CallError(f"explaining a record of {spec.name}: the key {value!r} is no UTF-8; give it in that encoding") from error
    if len(key) != len(spec.primary_key):
        raise CallError(
            f"explaining a record of {spec.name}: its primary key is {', '.join(spec.primary_key)}, so give {len(spec.primary_key)} "
            f"value{'' if len(spec.primary_key) == 1 else 's'}, one after the other; {len(key)} were given"
        )
    engine = Engine(project, open_state(project).snapshots)
    with engine.lookout() as connection:
        lookup = Lookup(connection, engine.snapshots, key)
        told, forgotten = [], []
        for sync in state.delivered:
            line = _told(engine, lookup, spec, sync)
            if line is None:
                forgotten.append(sync.number)
            else:
                told.append(line)
        at = made_at(connection, spec.source)
        today = _today(project, engine, lookup, spec, state, at)
    # The warehouse is closed again: files are rendered now, and others may need it.
    located = [_located(engine, state.syncs[each.sync], each) for each in told]
    return Explanation(tuple(zip(spec.primary_key, key, strict=True)), tuple(located), tuple(forgotten), today)


def _told(engine: Engine, lookup: Lookup, spec: ActivationSpec, sync: SyncRecord) -> Told | None:
    """Return None where the rows are no longer kept, or had another primary key."""
    needed: list[Snapshot | None]
    if sync.export is None:
        needed = [sync.snapshot]
    else:
        comparison = sync.export.comparison
        needed = [comparison.current, *([comparison.since] if comparison.since is not None else ()), *comparison.gone_since]
    if not all(each is not None and _has_key(each, spec) and engine.is_intact(each) for each in needed):
        return None
    if sync.export is None:
        assert sync.snapshot is not None, "a baseline is a snapshot"
        values = lookup.values(sync.snapshot)
        fate = RecordOutcome("absent") if values is None else RecordOutcome("unchanged", values)
        return Told(sync.number, sync.instant, fate, "a baseline: what it holds counts as delivered, and nothing was sent")
    fate = lookup.fate(sync.export.comparison, sync.export.timezone)
    changes = _FILE_OF_FATE.get(fate.what, ())
    files = tuple(put.path for put in sync.export.puts if put.change in changes)
    return Told(sync.number, sync.instant, fate, _why(fate, sync.export.contract.sync_mode, sync.export.reason), files)


def _located(engine: Engine, sync: SyncRecord, told: Told) -> Told:
    values = told.fate.values
    if sync.export is None or not told.files or values is None:
        return told
    location = locate(engine, sync.export, _FILE_OF_FATE[told.fate.what], values)
    return told if location is None else replace(told, files=(location.file,), location=location)


def _has_key(snapshot: Snapshot, spec: ActivationSpec) -> bool:
    return [folded(column.attribute) for column in snapshot.contract.key] == [folded(name) for name in spec.primary_key]


def _why(fate: RecordOutcome, mode: SyncMode, reason: str) -> str:
    match fate.what:
        case "sent":
            return f"every row was sent: {reason}"
        case "added":
            return "its key was not in the base"
        case "updated":
            return "a mapped value was another than in the base"
        case "removed":
            return "it had left the source"
        case "unchanged":
            return (
                "not sent: its key was sent before, and insert sends each once"
                if mode == SyncMode.INSERT
                else "not sent: no mapped value had changed"
            )
        case "left":
            return f"not sent: it had left the source, which {mode.value} tells nobody"
    return "not sent: it was not in the source"


def _today(project: Project, engine: Engine, lookup: Lookup, spec: ActivationSpec, state: State, at: datetime | None) -> Today:
    columns = lookup.columns(spec.source)
    if columns is None:
        return Today("unknown", None, None, f"{spec.source} was never refreshed: `dinmo sync {spec.name}` does it")
    contract = contract_of(spec, project.storages[spec.destination], project.root, columns)
    base = find_base(state, contract)
    since = base.snapshot if spec.run_type == RunType.FULL_THEN_DELTA else None
    if since is not None and not engine.is_intact(since):
        return Today("unknown", at, None, "the rows of the last delivery are lost, so nobody knows what the next sync would send")
    fate = lookup.fate_today(contract, spec.source, since, spec.timezone)
    reason = "full_only sends every row" if spec.run_type == RunType.FULL_ONLY else base.reason
    if lookup.is_in(spec.source, _key_columns(columns, spec)):
        return Today("source", at, fate, f"it is in {spec.source}; the next sync {_would(fate, spec.sync_mode, reason)}")
    model = _filtering_model(project, lookup, spec)
    if model is not None:
        return Today("filtered out", at, fate, f"it is in {model} but not in {spec.source}, which leaves it out; {_leaving(fate, spec)}")
    return Today("nowhere", at, fate, f"it is not in {spec.source}; {_leaving(fate, spec)}")


def _filtering_model(project: Project, lookup: Lookup, spec: ActivationSpec) -> TableRef | None:
    """Return the model of the segment, where it has the record."""
    model = project.tables[spec.source].model
    columns = lookup.columns(model) if model is not None else None
    return model if model is not None and columns is not None and lookup.is_in(model, _key_columns(columns, spec)) else None


def _key_columns(columns: Sequence[TableColumn], spec: ActivationSpec) -> list[TableColumn]:
    known = {folded(column.name): column for column in columns}
    return [known[folded(name)] for name in spec.primary_key]


def _would(fate: RecordOutcome, mode: SyncMode, reason: str) -> str:
    match fate.what:
        case "sent":
            return f"sends it, with every row: {reason}"
        case "added":
            return "sends it as added"
        case "updated":
            return "sends it as updated"
    return "does not send it: its key was sent already" if mode == SyncMode.INSERT else "does not send it: no mapped value has changed"


def _leaving(fate: RecordOutcome, spec: ActivationSpec) -> str:
    match fate.what:
        case "removed":
            return "the next sync tells it as removed"
        case "left":
            return f"it was delivered, and {spec.sync_mode.value} does not tell that it left"
    return "the next sync does not send it"
