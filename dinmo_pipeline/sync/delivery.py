"""From rendered files to a delivered sync, and from an open intent to the same: the only code that shows a consumer anything.

Where files can be moved: all are put under temporary names, then the intent, then the moves. Where they cannot, each put is whole and
shows at once, so the intent comes before the first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from dinmo_pipeline.storages.publish import Parcel, Publisher
from dinmo_pipeline.sync.engine import Engine
from dinmo_pipeline.sync.entries import Delivered, Entry, Intent, Prepared
from dinmo_pipeline.sync.export import Export, Put
from dinmo_pipeline.sync.render import Staged, render_again


class Recorder(Protocol):
    """What a delivery tells of itself, and what forbids it to go on."""

    def append(self, entry: Entry) -> object:
        """Record a fact; SyncRefused when somebody else went on."""

    def check_unchanged(self) -> None:
        """SyncRefused when somebody else went on."""


class NoRecord:
    """The recorder of a delivery that does not count."""

    def append(self, entry: Entry) -> object:
        """Forget it."""
        return None

    def check_unchanged(self) -> None:
        """Nobody can be in the way."""


def deliver_export(log: Recorder, publisher: Publisher, export: Export, staged: Sequence[Staged], leftovers: Iterable[Export]) -> Delivered:
    """Deliver what was rendered. `leftovers` are exports whose temporary files are tidied on the way."""
    began = time.monotonic()
    log.append(Prepared(export.number, export))
    publisher.make_folder(export.folder)
    if publisher.moves:
        for file in staged:
            publisher.put(file.local_path, file.put.temporary_path)
        log.append(Intent(export.number))
        for file in staged:
            log.check_unchanged()
            publisher.show(_parcel(file.put))
    else:
        log.append(Intent(export.number))
        for file in staged:
            log.check_unchanged()
            publisher.put(file.local_path, file.put.path)
    notes = _clear(log, publisher, export, leftovers)
    outcome = Delivered(export.number, seconds=round(time.monotonic() - began, 3), notes=notes)
    log.append(outcome)
    return outcome


def complete_export(
    log: Recorder, publisher: Publisher, export: Export, engine: Engine, local_folder: Path, leftovers: Iterable[Export]
) -> Delivered:
    """Complete an export whose intent is recorded: what is shown stays, what waits is moved, what is lost is rendered and put once more."""
    began = time.monotonic()
    missing = [put for put in export.puts if not publisher.is_shown(_parcel(put))]
    notes: list[str] = []
    lost = [put for put in missing if not publisher.is_waiting(_parcel(put))]
    if lost:
        publisher.make_folder(export.folder)
        for file in _render_lost(export, lost, engine, local_folder):
            if file.put not in lost:
                notes.append(f"{file.put.path} has the same rows as recorded and other bytes: another version of the product made it")
                missing = [file.put if put.path == file.put.path else put for put in missing]
            log.check_unchanged()
            publisher.put(file.local_path, file.put.temporary_path if publisher.moves else file.put.path)
    for put in missing if publisher.moves else []:
        log.check_unchanged()
        publisher.show(_parcel(put))
    notes += _clear(log, publisher, export, leftovers)
    seconds = round(time.monotonic() - began, 3)
    outcome = Delivered(export.number, seconds=seconds, rolled_forward=True, notes=tuple(notes))
    log.append(outcome)
    return outcome


def _render_lost(export: Export, lost: Sequence[Put], engine: Engine, local_folder: Path) -> list[Staged]:
    with engine.changes(export.comparison) as changes:
        return [render_again(changes, export, put, local_folder / str(index)) for index, put in enumerate(lost)]


def _clear(log: Recorder, publisher: Publisher, export: Export, leftovers: Iterable[Export]) -> tuple[str, ...]:
    for path in export.stale:
        log.check_unchanged()
        publisher.remove(path)
    own = {put.temporary_path for put in export.puts}
    temporary = {put.temporary_path for leftover in leftovers for put in leftover.puts} - own if publisher.moves else set()
    return publisher.tidy(sorted(temporary))


def _parcel(put: Put) -> Parcel:
    return Parcel(put.temporary_path, put.path, put.bytes, put.sha256)
