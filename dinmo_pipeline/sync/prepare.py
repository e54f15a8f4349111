"""The steps that a recorded sync and a rehearsal share: keep the rows, decide what is sent, guard it, render it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from dinmo_pipeline.delta.build_contract import contract_of, require_same_contract
from dinmo_pipeline.delta.contract import Contract
from dinmo_pipeline.delta.export import FILES_OF_MODE, Change, Comparison, Counts, Export, Place, Snapshot
from dinmo_pipeline.delta.findings import Finding, Judged, find_oddities
from dinmo_pipeline.engines.duckdb.differences.diff import Changes
from dinmo_pipeline.engines.duckdb.session import Engine, Source
from dinmo_pipeline.errors import SyncRefused
from dinmo_pipeline.project.schema.limits import OF_FILES, Measure
from dinmo_pipeline.project.specs import ActivationSpec, SyncMode
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.sync.decide import Delta, Full, Refuse, RollForward, decide, find_base
from dinmo_pipeline.sync.deliver.render import Layout, RenderedFile, key_only, render_files
from dinmo_pipeline.sync.deliver.sidecar_files import COMPANIONS, render_companions
from dinmo_pipeline.sync.deliver.uploader import Uploader
from dinmo_pipeline.sync.ledger.state import State, SyncRecord

SAMPLE_ROWS = 5
"""So many rows of each file `dinmo sync --dry-run` shows."""


@dataclass(frozen=True)
class Target:
    """Where the files of a sync go. What is not `recorded` moves no base, and no guard stops it.

    `below` puts everything into a folder of that name; `limit` sends at most that many rows a file, as `<name>_trial`.
    """

    storage: StorageSpec
    recorded: bool = True
    below: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Sample:
    """The first rows of one change, as text, under the names of its file's columns."""

    change: Change
    names: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True)
class Ready:
    """Rendered and not yet put. `findings` are what a guard says of it, `measured` is what guards looked at."""

    export: Export
    staged: tuple[RenderedFile, ...]
    measured: Mapping[Measure, float]
    findings: tuple[Finding, ...]
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Held:
    """A guard holds it; nothing was put."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Plan:
    """What is sent: the comparison, the number of the base, and why it is full."""

    comparison: Comparison
    base: int | None
    reason: str


@dataclass(frozen=True)
class SyncPreparer:
    """What every step works with: the activation, its destination, DuckDB, the project's folder, how many rows to show."""

    spec: ActivationSpec
    destination: StorageSpec
    engine: Engine
    project_root: Path
    sample_rows: int = SAMPLE_ROWS

    def keep_rows(self, state: State, name: str, local_folder: Path, *, full: bool) -> tuple[Snapshot, int | None]:
        """Keep the source's rows in a snapshot of this name; the base's number beside it. DataError when the rows forbid a delivery."""
        with self.engine.source(self.spec.source, local_folder) as found:
            source = found if state.last_delivery is None else found.typed_if_empty(state.last_delivery.contract)
            contract = contract_of(self.spec, self.destination, self.project_root, source.columns)
            base = find_base(state, contract)
            earlier = base.snapshot
            if earlier is not None and not self.engine.is_intact(earlier):
                # A full sync is the way out when the base is lost; the keys that only it knew are lost with it.
                if self.spec.sync_mode == SyncMode.INSERT and not full:
                    self.engine.verify(earlier)
                earlier = None
            kept = replace(source.keep(contract, name, earlier=earlier, whole=full), loaded_at=self._newest_load(source))
            return kept, base.sync.number if base.sync is not None else None

    def prepare(self, state: State, sync: SyncRecord, target: Target, uploader: Uploader, local_folder: Path) -> Ready | Held | RollForward:
        """Decide what `sync` sends and render it to `local_folder`; parts leave meanwhile, where no guard can hold them any more.

        SyncRefused when the state forbids it, DataError when the rows do, StorageError when a part does not arrive.
        """
        # Asked of the destination before the warehouse is opened: it may have to be waited for.
        missing = self._missing(state, target, uploader)
        with ExitStack() as opened:
            if sync.snapshot is not None:
                contract, loaded_at = sync.snapshot.contract, sync.snapshot.loaded_at
            else:
                source = opened.enter_context(self.engine.source(self.spec.source, local_folder))
                contract, loaded_at = self._checked_contract(source), self._newest_load(source)
            plan = self._plan(state, sync, missing, contract)
            if isinstance(plan, RollForward):
                return plan
            if sync.snapshot is not None:
                require_same_contract(self.spec, self.destination, self.project_root, contract)
                changes = opened.enter_context(self.engine.changes(plan.comparison, local_folder))
            else:
                changes = source.changes(plan.comparison)
            layout = Layout.of(self.spec, sync.instant, below=target.below, trial=target.limit is not None)
            may_be_held = target.recorded and not sync.approved
            counted = _counted(plan.comparison, changes.counts, sync.instant, loaded_at)
            leaves = layout.in_parts and not (may_be_held and self._could_be_held(state, contract, layout, counted))
            staged = render_files(changes, layout, local_folder, send=uploader.send if leaves else _keep, limit=target.limit)
            export = self._export(state, sync, plan, changes, layout, target, staged)
            companions = render_companions(export, layout, local_folder)
            export = replace(export, puts=(*export.puts, *(file.put for file in companions)))
            measured = counted | {
                Measure.BYTES: export.bytes,
                Measure.REPLACED_CHARACTERS: sum(put.replaced_characters for put in export.puts),
            }
            findings = self._judge(state, contract, layout, measured)
            blocking = tuple(finding for finding in findings if finding.level == "block")
            if blocking and may_be_held:
                return Held(blocking)
            export = replace(export, warnings=tuple(finding for finding in findings if finding.level == "warn"))
            return Ready(export, (*staged, *companions), measured, blocking, self._samples(changes, plan.comparison))

    def _newest_load(self, source: Source) -> datetime | None:
        return source.newest_load(self.spec.loaded_at) if self.spec.loaded_at is not None else None

    def _checked_contract(self, source: Source) -> Contract:
        contract = contract_of(self.spec, self.destination, self.project_root, source.columns)
        source.check_key(contract)
        return contract

    def _judge(self, state: State, contract: Contract, layout: Layout, measured: Mapping[Measure, float]) -> tuple[Finding, ...]:
        judged = Judged(contract, measured, layout.series(), state.delivered_series(contract.address))
        return tuple(find_oddities(self.spec, judged, last=state.last_delivery))

    def _could_be_held(self, state: State, contract: Contract, layout: Layout, counted: Mapping[Measure, float]) -> bool:
        """Return whether a guard holds the sync already, or looks at what is known only when all files are rendered."""
        if any(limit.measure in OF_FILES for limit in self.spec.fail_if or ()):
            return True
        return any(finding.level == "block" for finding in self._judge(state, contract, layout, counted))

    def _missing(self, state: State, target: Target, uploader: Uploader) -> bool:
        newest = state.newest
        # Files that go elsewhere say nothing of those that the consumer has.
        if self.spec.if_missing != "full" or newest is None or newest.export is None or target.below is not None:
            return False
        return any(not uploader.publisher.exists(put.path) for put in newest.export.puts if put.change not in COMPANIONS)

    def _plan(self, state: State, sync: SyncRecord, files_missing: bool, contract: Contract) -> _Plan | RollForward:
        match decide(state, sync, contract, files_missing=files_missing):
            case Refuse(reason):
                raise SyncRefused(f"delivering {self.spec.name}: {reason}")
            case RollForward() as step:
                return step
            case Delta(base, since):
                gone_since = (since,) if contract.sync_mode == SyncMode.DIFFERENCE else ()
                return _Plan(Comparison(contract, sync.snapshot, since, gone_since), base, "")
            case Full(reason, base_sync, gone_since):
                intact = tuple(snapshot for snapshot in gone_since if self.engine.is_intact(snapshot))
                if len(intact) < len(gone_since):
                    reason += "; a snapshot of an earlier sync is lost, so rows that left since then are not told as removed"
                return _Plan(Comparison(contract, sync.snapshot, None, intact), base_sync.number if base_sync is not None else None, reason)

    def _export(
        self,
        state: State,
        sync: SyncRecord,
        plan: _Plan,
        changes: Changes,
        layout: Layout,
        target: Target,
        staged: tuple[RenderedFile, ...],
    ) -> Export:
        spec, contract = self.spec, plan.comparison.contract
        paths, series = {file.put.path for file in staged}, set(layout.series())
        shown = state.shown_paths(contract.address) if target.recorded else {}
        return Export(
            number=sync.number,
            instant=sync.instant,
            timezone=spec.timezone,
            comparison=plan.comparison,
            removed_key_only=spec.removed_columns == "key",
            base=plan.base,
            base_delivered=plan.base is None or (self._is_destination(target) and not state.syncs[plan.base].is_baseline),
            reason=plan.reason,
            counts=changes.counts,
            place=Place.of(target.storage),
            folder=layout.folder,
            format_options=spec.format.model_dump(mode="json", exclude_defaults=True) | {"type": spec.format.type},
            puts=tuple(file.put for file in staged),
            # Parts that an earlier sync wrote under the same name, and this one has no more of.
            stale=tuple(sorted(path for path, its_series in shown.items() if its_series in series and path not in paths)),
            create_folder=spec.create_folder,
        )

    def _is_destination(self, target: Target) -> bool:
        return target.below is None and target.storage.address == self.destination.address

    def _samples(self, changes: Changes, comparison: Comparison) -> tuple[Sample, ...]:
        found = []
        for change in FILES_OF_MODE[comparison.contract.sync_mode]:
            rows = changes.rows(change, self.spec.timezone, key_only=key_only(self.spec, change))
            found.append(Sample(change, tuple(column.name for column in rows.columns), changes.sample(rows, self.sample_rows)))
        return tuple(found)


def _counted(comparison: Comparison, counts: Counts, instant: datetime, loaded_at: datetime | None) -> dict[Measure, float]:
    """Return what is known before anything is rendered. A sync that sends every row has no changes, but it may tell what left."""
    compared = comparison.since is not None
    found = {
        Measure.ROWS: counts.rows,
        Measure.ADDED: counts.added if compared else None,
        Measure.UPDATED: counts.updated if compared else None,
        Measure.REMOVED: counts.removed if comparison.gone_since else None,
        Measure.SOURCE_AGE: (instant - loaded_at).total_seconds() if loaded_at is not None else None,
    }
    return {measure: value for measure, value in found.items() if value is not None}


def _keep(file: RenderedFile) -> RenderedFile:
    """Let a file wait until all are rendered and judged."""
    return file
