"""An inbox in a local folder, and what was imported from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.inbound.load.import_ledger import FileRecord
from dinmo_pipeline.inbound.troubles.open_troubles import open_troubles
from dinmo_pipeline.inbound.troubles.troubles import Trouble
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboundColumn, InboxSpec
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.storages.local.spec import LocalFolderSpec

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def contacts(**options: Any) -> FeedSpec:
    """The feed `contacts_shop`: its key is `id`, rows are told apart by `updated_at`, `age` is a number."""
    usual = {"primary_key": ("id",), "updated_at": "updated_at", "columns": (InboundColumn("age", "number"),)}
    return FeedSpec("partner", "contacts", "shop", **{**usual, **options})


@dataclass
class LocalInbox:
    """The inbox `partner`, whose files settle at once, in `root`/drop."""

    root: Path
    feeds: Iterable[FeedSpec] = field(default_factory=lambda: (contacts(),))
    options: Mapping[str, Any] = field(default_factory=dict)
    clock: datetime = NOW

    def __post_init__(self) -> None:
        self.folder = self.root / "drop"
        for name in ("raw", "init"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.project = Project(
            root=self.root,
            home=self.root / "home",
            timezone="UTC",
            tables={},
            storages={"drop": LocalFolderSpec(name="drop", path=str(self.folder), retries=1)},
            activations={},
            inboxes={"partner": InboxSpec("partner", "drop", **{"settle_seconds": 0, **self.options})},
            feeds={feed.name: feed for feed in self.feeds},
            clock=lambda: self.clock,
        )

    def drop(self, name: str, content: str | bytes, *, folder: str = "raw") -> Path:
        """Put a file there, as a sender does."""
        path = self.folder / folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self) -> list[FileRecord]:
        """One pass; what became of the files that were due."""
        with InboxPass(self.project, "partner") as inbox:
            return list(inbox.take(inbox.look().due))

    def open(self) -> tuple[Trouble, ...]:
        """What waits for a person."""
        return open_troubles(self.project, "partner")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the warehouse answers."""
        with duckdb.connect(str(self.project.warehouse_path), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(query).fetchall()

    def files(self) -> list[str]:
        """Every file that lies in the inbox, by its path."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())
