"""Dagster's instance for the commands: where it is, made by one process at a time, and whether its storage is whole."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dinmo_pipeline.errors import CallError, StateError
from dinmo_pipeline.local_files.locks import locked
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.project.surroundings import check_database_path

if TYPE_CHECKING:
    from dagster import DagsterInstance

NEW_HOME_SETTINGS = """\
# Dagster's own settings; what may stand here: https://docs.dagster.io/deployment/oss/dagster-yaml
telemetry:
  enabled: false
# No invitation to a newsletter before the first look.
nux:
  enabled: false
# What schedules and sensors did at each tick. Dagster by itself keeps most of it for ever.
retention:
  schedule: {purge_after_days: 30}
  sensor: {purge_after_days: {skipped: 2, failure: 30, success: 30}}
# A run is forked from a process that has imported everything, instead of importing it again.
run_launcher:
  module: dinmo_pipeline.launching
  class: ForkingRunLauncher
# A run whose process was killed, or whose machine went down, is failed and takes no place in the queue.
run_monitoring:
  enabled: true
"""
_NOTHING_CAPTURED: Mapping[str, Any] = {
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
}
_LOCK_S = 120.0
# The version of Dagster that made the storage, or migrated it.
_MADE_BY = ".storage-version"
# Dagster's databases in its home, unless its settings say otherwise, and a table that each of them has.
_DATABASES: Mapping[str, str] = {"history/runs.db": "runs", "history/runs/index.db": "event_logs", "schedules/schedules.db": "jobs"}


def dagster_home_in(home: Path) -> Path:
    """Return where Dagster keeps its runs, made or not: what `DAGSTER_HOME` says, else a folder in `home`. CallError where it is unfit."""
    chosen = os.environ.get("DAGSTER_HOME")
    found = Path(chosen) if chosen else home / "dagster"
    check_database_path(found, variable="DAGSTER_HOME")
    return found


def dagster_databases(home: Path) -> tuple[Path, ...]:
    """Return Dagster's databases in its home, made or not, but for those of single runs; none where its settings name a storage."""
    return () if keeps_storage_elsewhere(home) else tuple(home / name for name in _DATABASES)


def dagster_home(project: Project) -> Path:
    """Return `dagster_home_in`, made with its settings where it is new.

    CallError where its path is unfit, StateError when the disk fails.
    """
    return made_dagster_home(project.home)


def made_dagster_home(home: Path) -> Path:
    """Return `dagster_home_in` as `dagster_home` makes it, for a project whose definitions may have mistakes."""
    made = dagster_home_in(home)
    with _disk_errors(made):
        _make(made)
    return made


@contextmanager
def open_instance(home: Path, *, captures_output: bool = True) -> Iterator[DagsterInstance]:
    """Yield Dagster's instance in `home`; where its storage is not there yet, it is made first, by one process at a time.

    Without `captures_output` what steps print goes to the terminal alone, unless the home's settings say where it is kept: Dagster's
    own way takes four processes a step, which print a traceback each when somebody presses Ctrl-C.
    BusyError when another process makes it for longer than two minutes, StateError when the storage is broken or the disk fails.
    """
    from dagster import DagsterInstance
    from dagster._core.instance import InstanceRef

    with _disk_errors(home):
        if storage_problem(home) is not None:
            prepare_storage(home)
        with storage_errors(home):
            kept = captures_output or "compute_logs" in _settings(home)
            instance = DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={} if kept else _NOTHING_CAPTURED))
    with instance:
        yield instance


@contextmanager
def storage_errors(home: Path) -> Iterator[None]:
    """Raise what the databases of Dagster's home refuse, a full disk for instance, as a StateError in one line."""
    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, CommandError, sqlite3.Error) as error:
        raise _storage_error(home, error) from error


def prepare_storage(home: Path) -> tuple[str, ...]:
    """Make Dagster's storage of `home`, mend it, and bring it up to the installed Dagster; what was done, in words.

    May be called at any time and by any number of processes: each waits for the one before it, two minutes at most (BusyError).
    """
    done: list[str] = []
    with _disk_errors(home):
        _make(home)
        with _alone(home):
            if _is_current(home):
                return ()
            from dagster import DagsterInstance

            before = {name: (home / name).exists() for name in _DATABASES}
            done += [f"mended {name}, whose version stood there twice" for name in _DATABASES if _mend_versions(home / name)]
            with storage_errors(home), DagsterInstance.from_config(str(home)) as instance:
                versions = [store.alembic_version() for store in _stores(instance)]
                if any(version is not None and version[0] != version[1] for version in versions):
                    instance.upgrade()
                    done.append("brought it up to the installed version of Dagster")
            if not keeps_storage_elsewhere(home):
                (home / _MADE_BY).write_text(version("dagster"), encoding="ascii")
            made = [name for name, was_there in before.items() if not was_there and (home / name).exists()]
    return (*done, *([f"made {', '.join(made)}"] if made else ()))


def _is_current(home: Path) -> bool:
    """Return whether the installed version of Dagster has made the storage, or brought it up to itself; told without importing it."""
    try:
        made_by = (home / _MADE_BY).read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return made_by == version("dagster") and storage_problem(home) is None


def _alone(home: Path) -> AbstractContextManager[None]:
    # A storage elsewhere has locks of its own, and the home may be one that nobody can write to.
    if keeps_storage_elsewhere(home):
        return nullcontext()
    return locked(home / ".storage.lock", what=f"Dagster's storage in {home}, which another process makes", wait_s=_LOCK_S)


def storage_problem(home: Path) -> str | None:
    """Return what is wrong with Dagster's databases in `home`, in words; None where they are whole, or kept elsewhere.

    Opens the files for reading alone, without Dagster. A home without any of them is new.
    """
    there = [name for name in _DATABASES if (home / name).exists()]
    if not there:
        return None if keeps_storage_elsewhere(home) else "there is none yet"
    for name, table in _DATABASES.items():
        if name not in there:
            return f"{name} is missing"
        try:
            versions, tables = _look_into(home / name)
        except sqlite3.Error as error:
            return f"{name} cannot be read: {error}"
        if table not in tables:
            return f"{name} has no table {table}"
        if versions != 1:
            return f"{name} has {versions} versions where one belongs: two processes made it at once"
    return None


def broken_storage(home: Path) -> str | None:
    """Return `storage_problem`, or None where the storage was never created."""
    return storage_problem(home) if any((home / name).exists() for name in _DATABASES) else None


def _make(home: Path) -> None:
    """Create the folder, and `dagster.yaml` in a new home; an existing file is not changed."""
    make_private_folder(home)
    if (home / "dagster.yaml").exists() or any((home / name).exists() for name in _DATABASES):
        return
    draft = home / f".dagster.yaml.{os.getpid()}"
    draft.write_text(NEW_HOME_SETTINGS, encoding="utf-8")
    draft.replace(home / "dagster.yaml")


def _look_into(path: Path) -> tuple[int, frozenset[str]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        tables = frozenset(row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
        versions = connection.execute("SELECT count(*) FROM alembic_version").fetchone()[0] if "alembic_version" in tables else 0
    return versions, tables


def _mend_versions(path: Path) -> bool:
    """Leave one version in a database that two processes made at once: Dagster refuses one that says it twice. Returns whether any did."""
    if not path.exists() or _look_into(path)[0] < 2:
        return False
    with closing(sqlite3.connect(path, timeout=5)) as connection, connection:
        twice = "SELECT min(rowid) FROM alembic_version GROUP BY version_num"
        return connection.execute(f"DELETE FROM alembic_version WHERE rowid NOT IN ({twice})").rowcount > 0


def _stores(instance: DagsterInstance) -> list[Any]:
    stores = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    return [store for store in stores if hasattr(store, "alembic_version")]


def keeps_storage_elsewhere(home: Path) -> bool:
    """Whether its settings name a storage, as they do for Postgres."""
    return not {"storage", "run_storage"}.isdisjoint(_settings(home))


def _settings(home: Path) -> Mapping[str, Any]:
    """Return what `dagster.yaml` says; nothing where it is missing or cannot be read, of which Dagster itself tells."""
    import yaml

    try:
        settings = yaml.safe_load((home / "dagster.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _storage_error(home: Path, error: Exception) -> StateError:
    words = str(getattr(error, "orig", None) or error).splitlines()[0]
    return StateError(
        f"opening Dagster's storage in {home}: {words}. Free some room there or mend the folder's rights; "
        "`dinmo instance init` makes what is missing and mends what two processes made at once"
    )


@contextmanager
def _disk_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        words = error.strerror or str(error)
        raise StateError(f"working in Dagster's home {home}: {words}. Free some room there or mend the folder's rights") from error
    except sqlite3.Error as error:
        raise _storage_error(home, error) from error


def home_without_project() -> Path:
    """Return Dagster's home where no project is at hand. CallError unless `DAGSTER_HOME` says it."""
    if not os.environ.get("DAGSTER_HOME"):
        raise CallError("there is no project here and DAGSTER_HOME is not set: name the project's folder with --project DIR")
    return dagster_home_in(Path())
