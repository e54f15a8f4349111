"""The connection policy of the warehouse, one DuckDB file: opened late, briefly, one writer or many readers, waited for in turn."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from dinmo_pipeline.engines.duckdb.queries.query_errors import query_words
from dinmo_pipeline.errors import StateError
from dinmo_pipeline.local_files.contents import sync_to_disk
from dinmo_pipeline.local_files.locks import locked
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.project.specs import QuerySettings
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal

_WAIT_S = 1800.0
# DuckDB's own limit is four fifths of the machine, for each of the processes that run at once.
_MEBIBYTES_A_THREAD = 600
_MEBIBYTES = {"bytes": 2**-20, "KiB": 2**-10, "MiB": 1, "GiB": 2**10, "TiB": 2**20}

# What a killed process leaves there is deleted by `dinmo clean`, as a working folder of no activation.
_REWRITING, _FRESH = ".rewriting-", "fresh"

ATTACHED = "warehouse"
"""The name by which `attached` makes the warehouse's tables known: `warehouse.models.customers`."""


@contextmanager
def open_warehouse(
    path: Path, settings: QuerySettings, *, wait_s: float | None = None, isolated: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield the warehouse for writing, alone, with these settings. `isolated`: with nothing but its tables, for data of strangers.

    Makes the file. BusyError when other processes have it for longer than `wait_s`, half an hour by default; StateError when the disk
    fails.
    """
    with disk_errors(f"working in the warehouse {path}"):
        make_private_folder(path.parent)
        with _turn(path, shared=False, wait_s=wait_s), _open(path) as connection:
            configure(connection, settings)
            if isolated:
                isolate(connection)
            yield connection


def rewrite_warehouse(path: Path, settings: QuerySettings) -> None:
    """Put a new file with the same tables and views in the warehouse's place: the old one keeps what was deleted, in pages that are free.

    May be stopped at any point. Takes as much room again meanwhile. BusyError and StateError as `open_warehouse`.
    """
    with disk_errors(f"writing the warehouse {path} anew"), _turn(path, shared=False):
        # The file itself, where a link leads to it on another disk.
        path = path.resolve()
        folder = path.parent / "staging"
        make_private_folder(folder)
        # What a killed query has spilled, and a killed rewriting left.
        for left in (path.with_name(path.name + ".tmp"), *folder.glob(f"{_REWRITING}*")):
            shutil.rmtree(left, ignore_errors=True)
        with TemporaryDirectory(prefix=_REWRITING, dir=folder, ignore_cleanup_errors=True) as room:
            fresh = Path(room) / "warehouse.duckdb"
            with _open(path) as connection:
                configure(connection, settings)
                connection.execute(f"ATTACH {quote_literal(str(fresh))} AS {quote_identifier(_FRESH)}")
                [(own,)] = connection.execute("SELECT current_database()").fetchall()
                connection.execute(f"COPY FROM DATABASE {quote_identifier(own)} TO {quote_identifier(_FRESH)}")
                _require_same(connection, own, _FRESH)
                connection.execute(f"DETACH {quote_identifier(_FRESH)}")
            # Closed, so that neither has a log beside it that is not in the file yet.
            logs = [str(log) for log in (path.with_name(path.name + ".wal"), fresh.with_name(fresh.name + ".wal")) if log.exists()]
            if logs:
                raise StateError(f"writing the warehouse {path} anew: {', '.join(logs)} is not written to its file; start this again")
            fresh.chmod(0o600)
            sync_to_disk(fresh)
            fresh.replace(path)
            sync_to_disk(path.parent)


def _require_same(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> None:
    """Raise StateError unless both databases have the same tables, with as many rows, and the same views."""
    tables = "SELECT schema_name, table_name, comment, sql FROM duckdb_tables() WHERE database_name = ? AND NOT temporary ORDER BY ALL"
    views = "SELECT schema_name, view_name, sql FROM duckdb_views() WHERE database_name = ? AND NOT internal ORDER BY ALL"
    found = []
    for name in (one, other):
        rows = connection.execute(tables, [name]).fetchall()
        counts = [
            connection.execute(f"SELECT count(*) FROM {'.'.join(map(quote_identifier, (name, *row[:2])))}").fetchall() for row in rows
        ]
        found.append((rows, counts, connection.execute(views, [name]).fetchall()))
    if found[0] != found[1]:
        raise StateError(
            f"writing the warehouse anew: the copy of {one} has other tables, rows or views than it; it stays as it was. Please report this"
        )


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Do all or nothing of what is done meanwhile; an interrupt, too, leaves no transaction open."""
    connection.begin()
    try:
        yield
    except BaseException:  # It goes on its way; an interrupt, too, must not leave the transaction open.
        with suppress(duckdb.Error):
            connection.rollback()
        raise
    # One that fails has rolled back by itself.
    connection.commit()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let an interrupt that comes in the middle of a query be one: DuckDB makes an error of it."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from error


@contextmanager
def disk_errors(action: str) -> Iterator[None]:
    """Raise what this machine's disk and memory refuse, to DuckDB or to Python, as a StateError that says what it came of."""
    try:
        yield
    # A transaction that cannot be committed, and a database that gave up: a full disk shows so, too.
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException, duckdb.FatalException, OSError) as error:
        advice = "Free some room or mend the folder"
        if isinstance(error, duckdb.OutOfMemoryException):
            advice = "Raise memory_limit in [tool.dinmo] of pyproject.toml, or free some room on the disk that queries spill to"
        told = query_words(error) if isinstance(error, duckdb.OutOfMemoryException) else error
        raise StateError(f"{action}: {told}. {advice}, then start again") from error


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, path: Path, *, wait_s: float | None = None) -> Iterator[None]:
    """Attach the warehouse's tables, to be read; several processes may at once. StateError when there is no warehouse yet.

    BusyError as `open_warehouse` after `wait_s`.
    """
    if not path.exists():
        raise StateError(f"reading the warehouse {path}: there is none yet; refresh the models first, as `dinmo sync` does")
    with _turn(path, shared=True, wait_s=wait_s):
        connection.execute(f"ATTACH {quote_literal(str(path))} AS {quote_identifier(ATTACHED)} (READ_ONLY)")
        try:
            yield
        finally:
            connection.execute(f"DETACH {quote_identifier(ATTACHED)}")


def configure(connection: duckdb.DuckDBPyConnection, settings: QuerySettings) -> None:
    """Have queries run with these settings, wherever the process was started."""
    connection.execute(f"SET TimeZone = {quote_literal(settings.timezone)}")
    connection.execute(f"SET file_search_path = {quote_literal(str(settings.root))}")
    connection.execute(f"SET memory_limit = {quote_literal(settings.memory_limit or _default_memory_limit(connection))}")
    connection.execute("SET enable_progress_bar = false")
    # Statistics of Parquet leave NaN out: DuckDB would skip the blocks that have one, and give a largest value that is not.
    connection.execute("SET parquet_can_have_nan = true")
    # DuckDB 2.0 can hang when a COPY fails while its writer works in the background.
    connection.execute("SET async_threads = 0")


def isolate(connection: duckdb.DuckDBPyConnection) -> None:
    """Let queries reach nothing but this database and what Python hands them: no file, no network, no extension, no other setting.

    No text of a stranger becomes SQL; this is the wall behind that. It lasts until the connection is closed.
    """
    for setting in ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions", "enable_external_access"):
        connection.execute(f"SET {setting} = false")
    connection.execute("SET lock_configuration = true")


def _default_memory_limit(connection: duckdb.DuckDBPyConnection) -> str:
    """Return a limit by the number of threads, unless DuckDB's own limit, which knows of containers, is lower."""
    threads, own = connection.execute("SELECT current_setting('threads'), current_setting('memory_limit')").fetchone() or (1, "1 GiB")
    number, unit = str(own).split()
    megabytes = float(number) * _MEBIBYTES[unit]
    return f"{min(megabytes, _MEBIBYTES_A_THREAD * threads):.0f}MiB"


@contextmanager
def _open(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    before = os.umask(0o077)
    try:
        connection = duckdb.connect(str(path))
    finally:
        os.umask(before)
    try:
        with interruptible():
            yield connection
    finally:
        connection.close()


def _turn(path: Path, *, shared: bool, wait_s: float | None = None) -> AbstractContextManager[None]:
    if "?" in str(path):
        raise StateError(f"opening the warehouse {path}: DuckDB takes no question mark in a database's path; rename the folder")
    # DuckDB fails at once where another process has the file; a lock before it makes that a queue.
    return locked(
        path.with_name(path.name + ".lock"), what=f"the warehouse {path}", wait_s=_WAIT_S if wait_s is None else wait_s, shared=shared
    )
