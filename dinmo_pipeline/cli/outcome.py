"""How a run went, without Dagster's types: showing it must not cost the import of Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Imported:
    """What the run of a feed made of its files, an entry each with the metadata of its event, and what went wrong in words.

    `notes` are what people should know although nothing failed.
    """

    feed: str
    files: tuple[Mapping[str, Any], ...] = ()
    problem: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What the run delivered, and what went wrong in words.

    One entry a delivered sync, with the metadata of its materialization: two when an interrupted sync was completed first.
    """

    activation: str
    deliveries: tuple[Mapping[str, Any], ...] = ()
    problem: str | None = None
