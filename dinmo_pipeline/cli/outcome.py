"""How a run went, without Dagster's types: showing it must not cost the import of Dagster."""

from __future__ import annotations

from dataclasses import dataclass

from dinmo_pipeline.catalog.results import DeliveredSync, ImportedFile


@dataclass(frozen=True)
class Imported:
    """What the run of a feed made of its files, and what went wrong in words.

    `notes` are what people should know although nothing failed.
    """

    feed: str
    files: tuple[ImportedFile, ...] = ()
    problem: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What the run delivered, two syncs when an interrupted one was completed first, and what went wrong in words."""

    activation: str
    deliveries: tuple[DeliveredSync, ...] = ()
    problem: str | None = None
