"""Tell of snapshots of activations that the project defines no more: which of them are needed is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.backends.open import open_state
from dinmo_pipeline.sync.service import SyncService


@dataclass(frozen=True)
class Undefined:
    """The snapshots of such activations, but for those that one which was renamed goes on from."""

    project: Project

    def forget(self, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        """Tell of them alone: they are not looked into."""
        snapshots = open_state(self.project).snapshots
        kept = {name: snapshots.kept(name) for name in snapshots.activations() if name not in self.project.activations}
        if not any(kept.values()):
            return
        needed = {path for spec in self.project.activations.values() for path in SyncService(self.project, spec).state().snapshot_files}
        for name, paths in kept.items():
            if unknown := [path for path in paths if path not in needed]:
                left = (
                    f"it is defined no more, and its snapshots were not looked into ({len(unknown):,}): delete "
                    f"{snapshots.place(unknown[0])} and what lies beside it, or define it again and forget again"
                )
                yield Receipt("snapshots", name, 0, "", left)
