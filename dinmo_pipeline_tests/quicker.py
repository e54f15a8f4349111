"""What makes tests of Dagster and of S3 quicker: the same is read and made once. The inner loop has neither, and does without."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from botocore.loaders import JSONFileLoader
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool


@pytest.fixture(scope="session", autouse=True)
def migrations_are_read_once() -> Iterator[None]:
    """Dagster's migrations, which each of its databases (three an instance, one a run) asks for its newest version, are read once.

    Alembic would import all of their files again for each: with the waits for the disk below, a quarter of the CPU of tests that run a job.
    """
    read = ScriptDirectory.from_config
    kept: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Any) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in kept:
            kept[place] = read(config)
        return kept[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", from_config)
        yield


@pytest.fixture(scope="session", autouse=True)
def dagster_does_not_wait_for_the_disk() -> Iterator[None]:
    """Dagster's databases outlive no power failure in a test, and need not wait for the disk at each of a run's events."""

    def write_on(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", write_on)
    yield
    event.remove(Engine, "connect", write_on)


@pytest.fixture(scope="session", autouse=True)
def engines_of_dagster_are_kept() -> Iterator[None]:
    """What Dagster makes anew for each event, an engine that knows neither its database nor any statement, is made once a database.

    An engine has no connection of its own: each is opened and closed as without this.
    """
    kept = lru_cache(maxsize=64)(lambda address, timeout: create_engine(address, poolclass=NullPool, connect_args=dict(timeout)))

    def engine_of(address: str, *, poolclass: type[NullPool], connect_args: dict[str, float] | None = None) -> Engine:
        return kept(address, tuple((connect_args or {}).items()))

    with pytest.MonkeyPatch.context() as patch:
        for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
            patch.setattr(module, "create_engine", engine_of)
        yield


@pytest.fixture(scope="session", autouse=True)
def descriptions_of_s3_are_read_once() -> Iterator[None]:
    """What Amazon's library knows of S3 (2 MB of JSON, 0.1 s of CPU a client) is read once, as one session of that library does."""
    read = JSONFileLoader.load_file
    kept: dict[str, Any] = {}

    def load_file(self: JSONFileLoader, file_path: str) -> Any:
        if file_path not in kept:
            kept[file_path] = read(self, file_path)
        return kept[file_path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", load_file)
        yield
