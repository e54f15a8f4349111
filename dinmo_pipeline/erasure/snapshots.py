"""What is kept of an activation's syncs: the person taken out of every file, but for a key that the next delivery tells as removed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import duckdb

from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.export import Snapshot
from dinmo_pipeline.delta.snapshot_store import snapshots_folder
from dinmo_pipeline.engines.duckdb.connection import ATTACHED
from dinmo_pipeline.engines.duckdb.queries.translate import translate_duckdb_errors
from dinmo_pipeline.engines.duckdb.rows import row_count
from dinmo_pipeline.engines.duckdb.session import Engine
from dinmo_pipeline.engines.duckdb.snapshot_schema import stored_by_attribute
from dinmo_pipeline.engines.duckdb.snapshot_writer import SnapshotFiles
from dinmo_pipeline.engines.duckdb.tables import table_columns, table_sql
from dinmo_pipeline.erasure.keys import Key, is_forgotten_in_table, keys_of, remember_keys
from dinmo_pipeline.erasure.person import Column, Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.erasure.rewriting import Rewriting
from dinmo_pipeline.errors import BusyError
from dinmo_pipeline.project.operators import current_operator
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.project.table_refs import TableRef
from dinmo_pipeline.sql.quoting import folded, quote_identifier
from dinmo_pipeline.sync.backends.open import open_state
from dinmo_pipeline.sync.ledger.state import State
from dinmo_pipeline.sync.retention import clean_snapshots
from dinmo_pipeline.sync.service import SyncService

_WHAT = "snapshots"
_UNTIL = "the next delivery has told it as removed: forget again after that"


@dataclass(frozen=True)
class _Found:
    """What was found of a person in snapshots.

    `keys` are those of the person's records, `looked` says whether any file has the columns that describe them, `others` whether the
    source has one of these keys in a record that is described by none.
    """

    keys: set[Key]
    looked: bool
    others: bool


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one activation. `again` says why its source would bring the person back; then all stays as it is."""

    project: Project
    spec: ActivationSpec
    again: str = ""

    def forget(self, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        """Write the files anew that have the person. The next delta tells the person as removed where its mode does that."""
        syncs = SyncService(self.project, self.spec)
        store = open_state(self.project)
        log, engine = store.log(self.project, self.spec), Engine(self.project, store.snapshots)
        with ExitStack() as held:
            try:
                held.enter_context(syncs.turn(wait_s=0))
                held.enter_context(log.locked(wait_s=0))
            except BusyError:
                yield Receipt(_WHAT, self.spec.name, 0, "", "a sync is at work, so its snapshots were not looked into: forget again later")
                return
            state = log.read()
            if not dry_run:
                engine.forget(state.unneeded_snapshots(self.spec.keep_syncs))
            kept = {snapshot.path: snapshot for sync in state.kept(self.spec.keep_syncs) for snapshot in sync.snapshots}
            files = {file.path: file for snapshot in kept.values() for file in snapshot.files}
            for file in files.values():
                engine.snapshots.verify(file)
            with translate_duckdb_errors(f"looking for records in what is kept of {self.spec.name}"):
                found = self._find(engine, files.values(), person)
            keys, left = found.keys, self._why_left(state, found)
            if files and not found.looked:
                names = ", ".join(dict.fromkeys(name for file in files.values() for name in stored_by_attribute(file.contract)))
                yield Receipt(
                    _WHAT, self.spec.name, 0, f"not looked into, since it keeps {names} alone: describe the person by one of these"
                )
            if left or dry_run:
                if keys:
                    yield Receipt(_WHAT, self.spec.name, len(keys), "" if left else "would be taken out of what is kept", left)
                return
            with (
                engine.scratch(self.spec.name) as folder,
                engine.connection(folder) as connection,
                translate_duckdb_errors(f"taking records out of what is kept of {self.spec.name}"),
            ):
                remember_keys(connection, keys)
                rewriting = Rewriting(connection, SnapshotFiles(engine.snapshots), self.spec.name, kept.values(), state.newest)
                entry = rewriting.rewrite()
                staying = rewriting.keys_that_stay(entry) if entry is not None else 0
            if entry is not None:
                state = log.append(replace(entry, by=current_operator()))
                needed = set(state.snapshot_files) - set(state.unneeded_snapshots(self.spec.keep_syncs))
                own = f"{snapshots_folder(self.spec.name)}/"
                over = [path for path in files if path not in needed]
                # One that lies elsewhere may be another activation's, which had this name, or which a forged entry named.
                others = syncs.files_of_others() if any(not path.startswith(own) for path in over) else ()
                engine.forget(path for path in over if path not in others)
            # What a killed one left, and copies of what was forgotten on another machine.
            for litter in clean_snapshots(
                engine.snapshots, self.spec.name, state, self.spec.keep_syncs, known_to_others=syncs.files_of_others, dry_run=False
            ):
                yield Receipt(_WHAT, litter.where, 0, f"deleted: {litter.why}")
            if entry is not None:
                done = f"taken out of {len(rewriting.made):,} file{'' if len(rewriting.made) == 1 else 's'}"
                if staying:
                    done += f"; {staying:,} key{' stays' if staying == 1 else 's stay'} until {_UNTIL}"
                yield Receipt(_WHAT, self.spec.name, len(keys), done)
            elif keys:
                yield Receipt(_WHAT, self.spec.name, len(keys), f"nothing is left but a key, until {_UNTIL}")

    def _find(self, engine: Engine, files: Collection[Snapshot], person: Person) -> _Found:
        """Look into these files, and then into the source."""
        keys: set[Key] = set()
        looked = False
        readable = SnapshotFiles(engine.snapshots)
        with engine.lookout() as connection:
            for file in files:
                columns = {name: Column(column.value("s"), column.type) for name, column in stored_by_attribute(file.contract).items()}
                condition = person.condition(self._names(file.contract), columns)
                if condition is not None:
                    looked = True
                    keys |= keys_of(connection, file.contract, readable.patch(file), condition)
            table = table_sql(self.spec.source, catalog=ATTACHED)
            try:
                types = {folded(column.name): column for column in table_columns(connection, table)}
            except (duckdb.CatalogException, duckdb.BinderException):
                # It was never made here.
                return _Found(keys, looked, others=False)
            remember_keys(connection, keys)
            key = [types[folded(name)] for name in self.spec.primary_key]
            same = is_forgotten_in_table([(f"t.{quote_identifier(column.name)}", column.type) for column in key], self.spec.primary_key)
            described = person.condition(
                self._names_of(str(self.spec.source)),
                {name: Column(f"t.{quote_identifier(column.name)}", column.type) for name, column in types.items()},
            )
            others = row_count(connection, f"{table} AS t WHERE {same} AND NOT {described or 'false'}") > 0
            return _Found(keys, looked, others)

    def _why_left(self, state: State, found: _Found) -> str:
        half = state.open_intent.number if state.open_intent is not None else next(iter(state.redelivering), None)
        if half is not None:
            return f"sync {half} is half delivered: `dinmo sync {self.spec.name}` completes it; then forget again"
        if self.again and found.keys:
            return f"{self.again}; then forget again, or the next sync would bring the rows back"
        if found.others:
            return (
                f"{self.spec.source} has a record of the same key that nothing of the description fits: describe the person by the key, "
                "once it has left the source"
            )
        return ""

    def _names(self, contract: Contract) -> set[str]:
        return self._names_of(contract.source)

    def _names_of(self, source: str) -> set[str]:
        kind, _, name = source.partition(".")
        table = self.project.tables.get(TableRef(kind, name))
        return {source} | ({str(table.model)} if table is not None and table.model is not None else set())
