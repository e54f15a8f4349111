"""What the user wrote, checked and resolved: frozen values that every other room works from.

Nothing here does I/O. `project.load` makes these from YAML and SQL; components, sync and CLI read them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Literal

from dinmo_pipeline.formats.base import Format
from dinmo_pipeline.intake_limits import DEFAULT_LIMITS, IntakeLimits
from dinmo_pipeline.notify.base import Channel
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboxSpec
from dinmo_pipeline.project.schema.expected import Expected
from dinmo_pipeline.project.schema.limits import Limit
from dinmo_pipeline.project.sql_places import SqlPlace
from dinmo_pipeline.project.surroundings import search_folder
from dinmo_pipeline.project.table_refs import TableRef
from dinmo_pipeline.storages.base import StorageSpec


class RunType(StrEnum):
    """Whether a sync may be a delta at all."""

    FULL_ONLY = "full_only"
    FULL_THEN_DELTA = "full_then_delta"


class SyncMode(StrEnum):
    """Which rows a delta holds, and in which files."""

    SNAPSHOT = "snapshot"
    UPSERT = "upsert"
    INSERT = "insert"
    DIFFERENCE = "difference"


KEEP_SYNCS = 10


@dataclass(frozen=True)
class TableSpec:
    """A model or segment: a table in the warehouse that a query makes.

    `depends_on` are the warehouse tables that `sql` reads, found by parsing it; `external_deps` are keys of
    other Dagster assets (`deps:`), as slash-separated text. A sync uses a table that is at most `max_age_minutes` old as it is.
    `model` is the one whose rows a segment has. `written_at` is where people look for the query; another place is no other table.
    """

    ref: TableRef
    primary_key: tuple[str, ...]
    sql: str
    depends_on: tuple[TableRef, ...]
    external_deps: tuple[str, ...] = ()
    max_age_minutes: int = 0
    model: TableRef | None = None
    description: str | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] | None = None
    written_at: SqlPlace | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class MappedColumn:
    """One column of the delivered file: the source's attribute and its name in the file."""

    attribute: str
    name: str


@dataclass(frozen=True)
class LoadedAt:
    """The column of a model that says when a row was loaded or changed."""

    table: TableRef
    column: str


@dataclass(frozen=True)
class ActivationSpec:
    """One delivery, repeated. `mapping` is None for `"*"`: all of the source's columns of the day.

    `schedules` are cron expressions, `after` names of what starts it: `models.x`, `segments.y`, an activation, `a/dagster/key`. With
    `paused` none of them does.
    `format` has the options that serve its `consumer` already.
    `fail_if` is None for the default guards; `loaded_at` is there where a limit is on the age of the source.
    """

    name: str
    source: TableRef
    primary_key: tuple[str, ...]
    destination: str
    folder: str
    file_name: str
    format: Format
    run_type: RunType
    sync_mode: SyncMode
    mapping: tuple[MappedColumn, ...] | None
    timezone: str
    consumer: str | None = None
    extension: str | None = None
    schedules: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    paused: bool = False
    on_existing: str = "overwrite"
    if_missing: str = "delta"
    empty_files: str = "write"
    removed_columns: str = "all"
    max_rows: int | None = None
    max_bytes: int | None = None
    manifest: bool = False
    done_file: str | None = None
    create_folder: bool = True
    fail_if: tuple[Limit, ...] | None = None
    warn_if: tuple[Limit, ...] = ()
    loaded_at: LoadedAt | None = None
    keep_syncs: int = KEEP_SYNCS
    expected: Expected | None = None
    renamed_from: str | None = None
    description: str | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True)
class NotifySpec:
    """Who is told, how, from which level on, and of which activations, inboxes and feeds; none means all."""

    name: str
    channel: Channel
    level: Literal["warning", "failure"] = "warning"
    only: tuple[str, ...] = ()

    def concerns(self, name: str) -> bool:
        """Return whether it is about the activation, inbox or feed of this name."""
        return not self.only or name in self.only


def now_utc() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class QuerySettings:
    """What queries run in: files are found from `root`, days and hours are those of `timezone`.

    What needs more than `memory_limit` (`4GB`) goes to the disk; None is the default, which follows from the number of cores.
    """

    root: Path
    timezone: str
    memory_limit: str | None = None


@dataclass(frozen=True)
class Project:
    """All definitions of a project, valid and resolved.

    `root` is the project's folder, `home` is `DINMO_HOME` (warehouse, state, Dagster's storage);
    `timezone` and `memory_limit` are what every query runs in, `preview_rows` is how many rows of a table or
    delivery Dagster is shown, `limits` is what servers and files of others may take. Tables are in dependency
    order. `clock` gives the time to all that is done with it.
    """

    root: Path
    home: Path
    timezone: str
    tables: Mapping[TableRef, TableSpec]
    storages: Mapping[str, StorageSpec]
    activations: Mapping[str, ActivationSpec]
    inboxes: Mapping[str, InboxSpec] = field(default_factory=dict)
    feeds: Mapping[str, FeedSpec] = field(default_factory=dict)
    notifications: Mapping[str, NotifySpec] = field(default_factory=dict)
    memory_limit: str | None = None
    preview_rows: int = 0
    limits: IntakeLimits = DEFAULT_LIMITS
    clock: Callable[[], datetime] = field(default=now_utc, compare=False, repr=False)

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file that holds the tables."""
        return self.home / "warehouse.duckdb"

    @property
    def query_settings(self) -> QuerySettings:
        """What its queries run in; makes a link to the project's folder where its path would be a pattern."""
        return QuerySettings(search_folder(self.root, self.home), self.timezone, self.memory_limit)

    @property
    def entities(self) -> Mapping[TableRef, tuple[FeedSpec, ...]]:
        """The entities that feeds are declared of, each with its feeds, in the order of their names."""
        feeds = sorted(self.feeds.values(), key=lambda feed: (feed.entity, feed.name))
        return {ref: tuple(group) for ref, group in itertools.groupby(feeds, key=lambda feed: feed.entity_ref)}

    @cached_property
    def started_after_others(self) -> frozenset[str]:
        """The activations that start when what they come `after` was refreshed or delivered."""
        return frozenset(name for name, spec in self.activations.items() if spec.after and not spec.paused)

    def tables_for(self, source: TableRef) -> tuple[TableSpec, ...]:
        """Return the tables that a refresh of `source` needs, itself included, in dependency order; what imports fill is none of them."""
        wanted = {source}
        for spec in reversed(tuple(self.tables.values())):
            if spec.ref in wanted:
                wanted.update(spec.depends_on)
        return tuple(spec for spec in self.tables.values() if spec.ref in wanted)
