"""Delete working folders that no process uses any more: a killed query may have left rows in one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from dinmo_pipeline.engines.duckdb.session import LOOK_PREFIX
from dinmo_pipeline.erasure.person import Person
from dinmo_pipeline.erasure.receipt import Receipt
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.retention import clean_abandoned_scratch


@dataclass(frozen=True)
class Staging:
    """The folders beside those of activations, each of which is emptied by what holds the activation."""

    project: Project

    def forget(self, person: Person, *, dry_run: bool) -> Iterator[Receipt]:
        """Delete those that are a day old, and tell of younger ones with files in them: what looks there may be at work."""
        for litter in clean_abandoned_scratch(self.project, dry_run=dry_run):
            yield Receipt("working folder", litter.where, 0, "would be deleted" if dry_run else "deleted")
        for folder in sorted((self.project.home / "staging").glob(f"{LOOK_PREFIX}*")):
            # Folders that go away meanwhile are none.
            if any(files for _, _, files in os.walk(folder)):
                left = (
                    "something looks at rows there, or left them when it was killed: forget again tomorrow, or delete it when nothing runs"
                )
                yield Receipt("working folder", str(folder), 0, "", left)
