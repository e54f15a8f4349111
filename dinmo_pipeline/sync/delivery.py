"""From rendered files to a delivered sync, and from an open intent to the same: the only code that shows a consumer anything.

Where files can be moved: all are put under temporary names, then the intent, then the moves. Where they cannot, each put is whole and
shows at once, so the intent comes before the first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dinmo_pipeline.storages.publish import Parcel, Publisher
from dinmo_pipeline.sync.companions import COMPANIONS, write_companion
from dinmo_pipeline.sync.engine import Engine
from dinmo_pipeline.sync.entries import Delivered, Entry, Intent, Prepared
from dinmo_pipeline.sync.export import Change, Export, Put
from dinmo_pipeline.sync.render import Staged, render_again, staged_again


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
    _make_folder(publisher, export)
    if publisher.moves:
        for file in staged:
            publisher.put(file.local_path, file.put.temporary_path)
    log.append(Intent(export.number))
    _remove(log, publisher, (*export.signals, *export.stale))
    for file in staged:
        log.check_unchanged()
        if publisher.moves:
            publisher.show(_parcel(file.put))
        else:
            publisher.put(file.local_path, file.put.path)
    notes = _tidy(publisher, export, leftovers)
    outcome = Delivered(export.number, seconds=round(time.monotonic() - began, 3), notes=notes)
    log.append(outcome)
    return outcome


def complete_export(
    log: Recorder, publisher: Publisher, export: Export, engine: Engine, local_folder: Path, leftovers: Iterable[Export]
) -> Delivered:
    """Complete an export whose intent is recorded: what is shown stays, what waits is moved, what is lost is rendered and put once more."""
    began = time.monotonic()
    missing = [put for put in export.puts if not publisher.is_shown(_parcel(put))]
    if missing:
        # A signal looks the same in every sync: this one's is not shown before all else is.
        _remove(log, publisher, (*export.signals, *export.stale))
        missing += [put for put in export.puts if put.path in export.signals and put not in missing]
    lost = [put for put in missing if not publisher.is_waiting(_parcel(put))]
    made = _make_again(export, lost, engine, local_folder) if lost else []
    notes = [_other_bytes(file.put) for file in made if file.put not in export.puts]
    if made:
        _make_folder(publisher, export)
    if publisher.moves:
        for file in made:
            publisher.put(file.local_path, file.put.temporary_path)
    now = {put.path: put for put in missing} | {file.put.path: file.put for file in made}
    local_paths = {file.put.path: file.local_path for file in made}
    for put in (now[put.path] for put in export.puts if put.path in now):
        log.check_unchanged()
        if publisher.moves:
            publisher.show(_parcel(put))
        else:
            publisher.put(local_paths[put.path], put.path)
    notes += _tidy(publisher, export, leftovers)
    seconds = round(time.monotonic() - began, 3)
    outcome = Delivered(export.number, seconds=seconds, rolled_forward=True, notes=tuple(notes))
    log.append(outcome)
    return outcome


def _make_again(export: Export, lost: Sequence[Put], engine: Engine, local_folder: Path) -> list[Staged]:
    """The files of `lost`, rendered once more; with the manifest, where it would tell of other bytes than there are now."""
    made: list[Staged] = []
    rows_lost = [put for put in lost if put.change not in COMPANIONS]
    if rows_lost:
        with engine.changes(export.comparison) as changes:
            made += [render_again(changes, export, put, local_folder / str(index)) for index, put in enumerate(rows_lost)]
    now = {file.put.path: file.put for file in made}
    current = replace(export, puts=tuple(now.get(put.path, put) for put in export.puts))
    for put in export.puts:
        if put.change in COMPANIONS and (put in lost or (put.change == Change.MANIFEST and current != export)):
            local_path = local_folder / str(len(made))
            write_companion(current, put.change, local_path)
            made.append(staged_again(put, local_path))
    return made


def _other_bytes(put: Put) -> str:
    return f"{put.path} has the same rows as recorded and other bytes: another version of the product made it"


def _make_folder(publisher: Publisher, export: Export) -> None:
    # Where it must be there already, the put itself says that it is not.
    if export.create_folder:
        publisher.make_folder(export.folder)


def _remove(log: Recorder, publisher: Publisher, paths: Iterable[str]) -> None:
    for path in paths:
        log.check_unchanged()
        publisher.remove(path)


def _tidy(publisher: Publisher, export: Export, leftovers: Iterable[Export]) -> tuple[str, ...]:
    own = {put.temporary_path for put in export.puts}
    temporary = {put.temporary_path for leftover in leftovers for put in leftover.puts} - own if publisher.moves else set()
    return publisher.tidy(sorted(temporary))


def _parcel(put: Put) -> Parcel:
    return Parcel(put.temporary_path, put.path, put.bytes, put.sha256)
