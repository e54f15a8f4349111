"""The ways out of an activation: to a storage for the first time, to the end of an open intent, or once more. Its lock is held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from dinmo_pipeline.delta.export import Export, Place
from dinmo_pipeline.engines.duckdb.session import Engine
from dinmo_pipeline.errors import SyncRefused
from dinmo_pipeline.project.schema.file_names import is_dated
from dinmo_pipeline.project.specs import ActivationSpec, Project
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.publish import Publisher
from dinmo_pipeline.sync.decide import RollForward
from dinmo_pipeline.sync.deliver.commit import Recorder, Stopwatch, complete_export, deliver_export, make_again
from dinmo_pipeline.sync.deliver.redeliver import Again, elsewhere
from dinmo_pipeline.sync.deliver.uploader import Uploader
from dinmo_pipeline.sync.ledger.events import Announced, Delivered
from dinmo_pipeline.sync.ledger.ledger import Log
from dinmo_pipeline.sync.ledger.state import State, SyncRecord
from dinmo_pipeline.sync.ledger.trial_ledger import TrialRecord
from dinmo_pipeline.sync.prepare import Sample, Target


@dataclass(frozen=True)
class Delivery:
    """A sync as it was delivered: what was written, how it went, the first rows of each file, and whether it counts (`recorded`)."""

    label: str
    export: Export
    outcome: Delivered
    samples: tuple[Sample, ...] = ()
    recorded: bool = True


@dataclass(frozen=True)
class Completed:
    """An earlier sync whose open intent was completed. `ends_run`: its files have fixed names, and nobody has had time to read them."""

    delivery: Delivery
    ends_run: bool


@dataclass(frozen=True)
class Dispatch:
    """What every way out works with."""

    project: Project
    spec: ActivationSpec
    engine: Engine
    log: Log

    @contextmanager
    def uploader(
        self, storage: StorageSpec, *, export: Export | None = None, announces: tuple[Recorder, SyncRecord] | None = None
    ) -> Iterator[Uploader]:
        """Yield the way to `storage` for a sync, or for one that was recorded as this `export`.

        With `announces` files may leave before there is an export: their names are announced there, as those of that sync.
        """
        create_folder = self.spec.create_folder if export is None else export.create_folder
        announce = None if announces is None else partial(_announce, *announces, Place.of(storage))
        with (
            Publisher(storage, self.project.root) as publisher,
            Uploader(publisher, create_folder=create_folder, announce=announce) as uploader,
        ):
            yield uploader

    def trial_record(self, storage: StorageSpec) -> TrialRecord:
        """Return what deliveries to this storage that do not count may have left there."""
        return TrialRecord(self.project.home / "trials" / self.spec.name, storage)

    def complete(self, state: State, step: RollForward) -> Completed:
        """Bring an open intent to its end."""
        sync = state.syncs[step.number]
        assert sync.shown, "an intent follows a prepared export"
        # A later attempt than that of the intent may have been cut off in its puts: its temporary files prove nothing.
        export = sync.shown[-1]
        storage = self._storage_of(export, doing="completing")
        with self.engine.scratch(self.spec.name) as folder, self.uploader(storage, export=export) as uploader:
            notes = self.tidy_elsewhere(state, storage)
            outcome = complete_export(self.log, uploader, export, self.engine, folder, state.leftovers, notes=notes)
        fixed = not is_dated(self.spec.file_name, self.spec.folder)
        return Completed(Delivery(sync.label, export, outcome), ends_run=fixed)

    def redeliver(self, state: State) -> tuple[Delivery, ...]:
        """Deliver what is still to be delivered once more, in order."""
        deliveries = []
        for number in state.redelivering:
            # Not read anew: whoever went on meanwhile has closed this, and may have let its rows go.
            self.log.check_unchanged()
            sync, state = state.syncs[number], self.log.state
            export = _export_of(sync)
            storage = self._storage_of(export, doing="delivering once more")
            notes = self.tidy_elsewhere(state, storage)
            deliveries.append(self._again(Again(self.log), sync, export, storage, state.leftovers, notes=notes))
        return tuple(deliveries)

    def redeliver_to(self, sync: SyncRecord, target: Target) -> Delivery:
        """Deliver this sync alone to another storage."""
        record = self.trial_record(target.storage)
        return self._again(record, sync, elsewhere(_export_of(sync), target), target.storage, record.leftovers())

    def _again(
        self,
        log: Recorder,
        sync: SyncRecord,
        export: Export,
        storage: StorageSpec,
        leftovers: tuple[Export | Announced, ...],
        notes: tuple[str, ...] = (),
    ) -> Delivery:
        with self.engine.scratch(self.spec.name) as folder, self.uploader(storage, export=export) as uploader:
            export, staged, changed = make_again(export, export.puts, self.engine, folder)
            outcome = deliver_export(log, uploader, export, staged, leftovers, Stopwatch(), notes=(*notes, *changed))
        return Delivery(sync.label, export, outcome, recorded=False)

    def _storage_of(self, export: Export, *, doing: str) -> StorageSpec:
        """Return today's definition of the place that a recorded export goes to.

        SyncRefused where that is another one: nothing is sent on an entry's word.
        """
        if (storage := export.place.storage(self.project.storages)) is None:
            raise SyncRefused(
                f"{doing} sync {export.number} of {self.spec.name}: its files go to {export.place}, and the project defines no such "
                f"storage. If they belong there, define it so again, and start the sync again; else `dinmo sync {self.spec.name} --full` "
                "sends every row to today's destination, and what came of that sync stays as it is"
            )
        return storage

    def tidy_elsewhere(self, state: State, here: StorageSpec) -> tuple[str, ...]:
        """Take temporary files away from destinations that the activation had when a sync crashed and has no more.

        Where today's definitions do not name the place, nothing is connected to, and the note says where they may be.
        """
        left: dict[Place, list[str]] = {}
        for leftover in state.leftovers:
            if leftover.place.address != here.address:
                left.setdefault(leftover.place, []).extend(leftover.temporary_paths)
        notes: tuple[str, ...] = ()
        for place, paths in left.items():
            if (storage := place.storage(self.project.storages)) is None:
                notes += (
                    f"temporary files, {paths[0]} and others, may be left at {place}, and the project defines no such storage; delete them "
                    "there",
                )
                continue
            with Publisher(storage, self.project.root) as publisher:
                notes += publisher.tidy(paths)
        return notes


def _announce(recorder: Recorder, sync: SyncRecord, place: Place, temporary_paths: tuple[str, ...]) -> None:
    recorder.append(Announced(sync.number, place, temporary_paths))


def _export_of(sync: SyncRecord) -> Export:
    assert sync.export is not None, "what is delivered again was delivered once"
    return sync.export
