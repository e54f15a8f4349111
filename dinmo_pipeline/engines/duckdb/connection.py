"""The connection policy of the warehouse, one DuckDB file: opened late, briefly, one writer or many readers, waited for in turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import duckdb

from dinmo_pipeline.errors import StateError
from dinmo_pipeline.local_files.locks import locked
from dinmo_pipeline.local_files.private import make_private_folder
from dinmo_pipeline.project.specs import QuerySettings
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal

_WAIT_S = 1800.0
# DuckDB's own limit is four fifths of the machine, for each of the processes that run at once.
_MEBIBYTES_A_THREAD = 600
_MEBIBYTES = {"bytes": 2**-20, "KiB": 2**-10, "MiB": 1, "GiB": 2**10, "TiB": 2**20}

ATTACHED = "warehouse"
"""The name by which `attached` makes the warehouse's tables known: `warehouse.models.customers`."""


@contextmanager
def open_warehouse(
    path: Path, settings: QuerySettings, *, wait_s: float | None = None, isolated: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse for writing, alone, with these settings. `isolated`: with nothing but its tables, for data of strangers.

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


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing of what is done meanwhile; an interrupt, too, leaves no transaction open."""
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
    """What the disk and the memory of this machine refuse, to DuckDB or to Python, as a StateError that says what it came of."""
    try:
        yield
    # A transaction that cannot be committed, and a database that gave up: a full disk shows so, too.
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException, duckdb.FatalException, OSError) as error:
        advice = "Free some room or mend the folder"
        if isinstance(error, duckdb.OutOfMemoryException):
            advice = "Raise memory_limit in [tool.dinmo] of pyproject.toml, or free some room on the disk that queries spill to"
        raise StateError(f"{action}: {error}. {advice}, then start again") from error


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """The warehouse's tables, to be read through `connection`; several processes may at once. StateError when there is no warehouse yet."""
    if not path.exists():
        raise StateError(f"reading the warehouse {path}: there is none yet; refresh the models first, as `dinmo sync` does")
    with _turn(path, shared=True):
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
    """By the number of threads, unless DuckDB's own limit, which knows of containers, is lower."""
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
