"""From rendered files to a delivered sync, and from an open intent to the same: the only code that shows a consumer anything.

First the uploader brings all files there unseen: under temporary names, or as uploads that are not complete. Then the intent is recorded.
Then they are shown: moved, or completed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from dinmo_pipeline.delta.export import Change, Export, PlannedFile
from dinmo_pipeline.delta.findings import Finding, find_broken
from dinmo_pipeline.engines.duckdb.session import Engine
from dinmo_pipeline.project.schema.limits import Limit, Measure
from dinmo_pipeline.storages.publish import Publisher
from dinmo_pipeline.sync.deliver.render import RenderedFile, render_again, staged_again
from dinmo_pipeline.sync.deliver.sidecar_files import COMPANIONS, write_companion
from dinmo_pipeline.sync.deliver.uploader import Uploader
from dinmo_pipeline.sync.ledger.events import Announced, Delivered, Fact, Intent, Prepared


class Recorder(Protocol):
    """What a delivery tells of itself, and what forbids it to go on."""

    def append(self, entry: Fact) -> object:
        """Record a fact; SyncRefused when somebody else went on."""

    def check_unchanged(self) -> None:
        """Raise SyncRefused when somebody else went on."""


@dataclass(frozen=True)
class Stopwatch:
    """How long the work takes, from the moment this is made, and the limits that this is held to."""

    limits: tuple[Limit, ...] = ()
    began: float = field(default_factory=time.monotonic)

    def stop(self) -> tuple[float, tuple[Finding, ...]]:
        """Return the seconds until now, and which limits they break."""
        seconds = round(time.monotonic() - self.began, 3)
        return seconds, tuple(find_broken("warn", self.limits, {Measure.DURATION: seconds}))


def deliver_export(
    log: Recorder,
    uploader: Uploader,
    export: Export,
    staged: Sequence[RenderedFile],
    leftovers: Iterable[Export | Announced],
    stopwatch: Stopwatch,
    *,
    notes: Sequence[str] = (),
) -> Delivered:
    """Deliver what was rendered, and partly sent. `leftovers` tell of temporary files of others, which are tidied on the way."""
    publisher = uploader.publisher
    log.append(Prepared(export.number, export))
    uploader.bring(staged)
    # Before anything is shown: a process that stalled in its moves finds nothing to move any more.
    notes = (*notes, *_tidy(publisher, export, leftovers))
    log.append(Intent(export.number))
    uploader.release()
    _remove(log, publisher, (*export.signals, *export.stale))
    _show(log, publisher, export.puts)
    seconds, slowness = stopwatch.stop()
    outcome = Delivered(export.number, seconds=seconds, notes=(*notes, *export.notes), warnings=(*export.warnings, *slowness))
    log.append(outcome)
    return outcome


def complete_export(
    log: Recorder,
    uploader: Uploader,
    export: Export,
    engine: Engine,
    local_folder: Path,
    leftovers: Iterable[Export | Announced],
    *,
    notes: Sequence[str] = (),
) -> Delivered:
    """Complete an export whose intent is recorded: what waits is moved, what is shown stays, what is lost is rendered and put once more."""
    stopwatch, publisher = Stopwatch(), uploader.publisher
    waiting = {put.path for put in export.puts if publisher.is_waiting(put.parcel)}
    lost = [put for put in export.puts if put.path not in waiting and not publisher.is_shown(put.parcel)]
    _remove(log, publisher, export.stale)
    if waiting or lost:
        _remove(log, publisher, export.signals)
        # A signal looks the same in every sync, so the one that was there may have been an earlier one's.
        lost += [put for put in export.puts if put.path in export.signals and put.path not in waiting and put not in lost]
    if lost:
        export, staged, changed = make_again(export, lost, engine, local_folder)
        notes = (*notes, *changed)
        # New temporary names, recorded before they are used: whoever completes the same export at the same time loses here.
        log.append(Prepared(export.number, export))
        uploader.bring(staged)
        waiting |= {file.put.path for file in staged}
        # As in the first delivery: what waits is believed once it is whole.
        log.append(Intent(export.number))
        uploader.release()
    _show(log, publisher, [put for put in export.puts if put.path in waiting])
    notes = (*notes, *_tidy(publisher, export, leftovers))
    seconds, _ = stopwatch.stop()
    outcome = Delivered(export.number, seconds=seconds, rolled_forward=True, notes=(*notes, *export.notes), warnings=export.warnings)
    log.append(outcome)
    return outcome


def make_again(
    export: Export, puts: Sequence[PlannedFile], engine: Engine, local_folder: Path
) -> tuple[Export, list[RenderedFile], tuple[str, ...]]:
    """Render `puts` of a recorded export once more, under new temporary names: the export, its files, and which have other bytes."""
    staged = _render_again(export, puts, engine, local_folder)
    again = {file.put.path: file.put for file in staged}
    others = [put for put in puts if put.sha256 != again[put.path].sha256]
    # Elsewhere the manifest alone is another: nobody sent the base there.
    told = any(put.change != Change.MANIFEST for put in others)
    notes = tuple(f"{put.path} {_why_other(put, again[put.path])}" for put in others) if told else ()
    return replace(export, puts=tuple(again.get(put.path, put) for put in export.puts)), staged, notes


def _why_other(recorded: PlannedFile, again: PlannedFile) -> str:
    if again.rows < recorded.rows:
        return f"has {recorded.rows - again.rows:,} rows fewer than recorded: they were forgotten since"
    return "has the same rows as recorded and other bytes: another version of the product made it"


def _show(log: Recorder, publisher: Publisher, puts: Sequence[PlannedFile]) -> None:
    for put in puts:
        log.check_unchanged()
        publisher.show(put.parcel)


def _render_again(export: Export, lost: Sequence[PlannedFile], engine: Engine, local_folder: Path) -> list[RenderedFile]:
    """Return the files of `lost`, rendered once more in their order.

    The manifest is among them where it would tell of other bytes than there are now.
    """
    made: list[RenderedFile] = []
    rows_lost = [put for put in lost if put.change not in COMPANIONS]
    counts = export.counts
    if rows_lost:
        with engine.changes(export.comparison, local_folder) as changes:
            # Other ones where records were forgotten since.
            counts = changes.counts
            made += [render_again(changes, export, put, local_folder / str(index)) for index, put in enumerate(rows_lost)]
    checksums = {file.put.path: (file.put.bytes, file.put.sha256) for file in made}
    changed = any((put.bytes, put.sha256) != checksums.get(put.path, (put.bytes, put.sha256)) for put in export.puts)
    puts = tuple({file.put.path: file.put for file in made}.get(put.path, put) for put in export.puts)
    current = replace(export, puts=puts, counts=counts)
    for put in export.puts:
        if put.change in COMPANIONS and (put in lost or (changed and put.change == Change.MANIFEST)):
            local_path = local_folder / str(len(made))
            write_companion(current, put.change, local_path)
            made.append(staged_again(export, put, local_path))
    return made


def _remove(log: Recorder, publisher: Publisher, paths: Sequence[str]) -> None:
    """Remove, before the first file shows, the signal of an earlier sync, and parts that this one has no more of."""
    for path in paths:
        log.check_unchanged()
        publisher.remove(path)


def _tidy(publisher: Publisher, export: Export, leftovers: Iterable[Export | Announced]) -> tuple[str, ...]:
    others = {path for leftover in leftovers for path in leftover.temporary_paths} - {*export.temporary_paths}
    return publisher.tidy(sorted(others))
