"""A place to deliver to, for tests: a storage's definition, and what a test may expect of it and do to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dinmo_pipeline.storages.base import Storage, StorageSpec
from dinmo_pipeline_tests.servers.relay import Relay


@dataclass(frozen=True)
class Place:
    """One storage on its running server.

    `folder` is this test's own, not made yet. `disk` is where it lies on this machine, for looking behind the server's back;
    None where the server keeps its files in a form of its own. `folders` says whether folders exist by themselves (an object
    store has none). `refused` are characters that no name may hold. `relayed` is the same storage reached through `relay`; None where
    there is no connection to hold or cut.
    """

    spec: StorageSpec
    project_root: Path
    folder: str
    disk: Path | None = None
    folders: bool = True
    refused: str = ""
    relayed: StorageSpec | None = None
    relay: Relay | None = None

    def connect(self) -> Storage:
        """A connection of its own."""
        return self.spec.connect(self.project_root)

    def refuses(self, name: str) -> bool:
        """Whether the server takes a file of this name for another one, so that it must be refused."""
        return bool(self.refused) and (not set(name).isdisjoint(self.refused) or name != name.rstrip(". "))

    def path(self, name: str) -> str:
        """The remote path of a file in this test's folder."""
        return f"{self.folder}/{name}"
