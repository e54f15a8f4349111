"""What crashes left behind, and what nobody needs any more: found, and deleted unless it is only asked for.

Never a snapshot that the log still needs, never a file under its final name, never anything that this product did not write.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dinmo_pipeline.delta.snapshot_store import SnapshotStore, snapshots_folder
from dinmo_pipeline.errors import StateError, StorageError
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.storages.publish import Publisher
from dinmo_pipeline.sync.ledger.state import State

_DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class Litter:
    """Something to delete: what it is, where it lies, and why nobody needs it; `problem` tells why it could not be deleted."""

    what: str
    where: str
    why: str
    problem: str = ""


def clean_snapshots(
    snapshots: SnapshotStore, activation: str, state: State, keep: int, *, known_to_others: Callable[[], Collection[str]], dry_run: bool
) -> Iterator[Litter]:
    """Find snapshots beyond `keep` deliveries, and files of this activation that no entry of any log names. Its lock is held.

    `known_to_others` are the files of other activations: one that had this name goes on from those that lie here.
    """
    unneeded = set(state.unneeded_snapshots(keep))
    kept = snapshots.kept(activation)
    needed = {path for path in state.snapshot_files if path not in unneeded and path.startswith(f"{snapshots_folder(activation)}/")}
    # Where one is missing that the log names, what nobody names may be that one: by a wrong entry none is deleted.
    stray = set(kept) - set(state.snapshot_files) if needed <= set(kept) else set()
    try:
        stray -= set(known_to_others()) if stray else stray
    except StateError:
        # Nobody knows what one whose log is damaged needs; whoever cleans that one says so.
        stray = set()
    for path in kept:
        if path in unneeded or path in stray:
            why = f"no sync needs it any more (keep_syncs: {keep})" if path in unneeded else "a sync that crashed left it"
            if not dry_run:
                snapshots.forget([path])
            yield Litter("snapshot", snapshots.place(path), why)


def clean_scratch(folder: Path, *, dry_run: bool) -> Iterator[Litter]:
    """Find the scratch folder of an activation, whose lock is held, so that nobody works there."""
    if os.path.lexists(folder):
        yield _delete("working folder", folder, "a sync that was killed left it", lambda: _remove(folder), dry_run=dry_run)


def clean_abandoned_scratch(project: Project, *, dry_run: bool) -> Iterator[Litter]:
    """Find working folders of nobody: of activations that are gone, and of looks that were killed; a day old at least."""
    for path in sorted((project.home / "staging").glob("*")):
        try:
            changed_at = path.lstat().st_mtime
        except FileNotFoundError:
            # What looked there has ended since.
            continue
        if path.name not in project.activations and time.time() - changed_at > _DAY_S:
            yield _delete("working folder", path, "no activation has this name", lambda path=path: _remove(path), dry_run=dry_run)  # type: ignore[misc]


def clean_destinations(project: Project, state: State, *, dry_run: bool) -> Iterator[Litter]:
    """Find temporary files of syncs that failed, at the destinations. What an open intent will move stays."""
    if state.open_intent is not None or state.redelivering:
        return
    silent: set[str] = set()
    for leftover in state.leftovers:
        why = f"sync {leftover.number} failed and left it"
        storage = leftover.place.storage(project.storages)
        if storage is None:
            yield Litter("temporary files", str(leftover.place), why, "the project defines no such storage; delete them there")
            continue
        if storage.address in silent:
            continue
        try:
            with Publisher(storage, project.root) as publisher:
                for path in leftover.temporary_paths if publisher.moves else ():
                    if publisher.exists(path):
                        problem = "; ".join(publisher.tidy([path])) if not dry_run else ""
                        yield Litter("temporary file", f"{storage.name}: {path}", why, problem)
        except StorageError as error:
            silent.add(storage.address)
            yield Litter("temporary files", storage.name, why, str(error))


def _remove(path: Path) -> None:
    """Remove a folder, or whatever lies there in its place; fine when another process does so, too."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError):
        shutil.rmtree(path)


def _delete(what: str, path: Path, why: str, delete: Callable[[], object], *, dry_run: bool) -> Litter:
    if not dry_run:
        try:
            delete()
        except OSError as error:
            raise StateError(f"deleting {path}: {error.strerror or error}; mend the folder's rights, and start again") from error
    return Litter(what, str(path), why)
