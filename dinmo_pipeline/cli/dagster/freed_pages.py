"""The databases of Dagster written anew without what was deleted, and whether anything in them still quotes the person."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterInstance

from dinmo_pipeline.erasure.escapes import forms
from dinmo_pipeline.erasure.receipt import Receipt

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BUSY_S = 30
_LEFT = "it still quotes the person, in what no run has: ticks go with their retention; else stop Dagster and start anew without it"
# The tables that Dagster 1.13 creates; the database may have others. `snapshots` is left out: it holds definitions and no rows.
_TABLES = frozenset(
    {
        *("asset_check_executions", "asset_daemon_asset_evaluations", "asset_event_tags", "asset_keys", "backfill_tags", "bulk_actions"),
        *(
            "concurrency_limits",
            "concurrency_slots",
            "daemon_heartbeats",
            "dynamic_partitions",
            "event_logs",
            "instance_info",
            "instigators",
        ),
        *("job_ticks", "jobs", "kvs", "pending_steps", "run_tags", "runs"),
    }
)


def in_sqlite(path: Path, words: Collection[str]) -> Iterator[Receipt]:
    """Write one of Dagster's databases anew; a receipt where that failed, or where it still has one of the words."""
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_S)) as connection:
            # Not every build of SQLite overwrites what it deletes.
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        yield Receipt("database", str(path), 0, "", f"its freed pages stay: {error}. Stop Dagster, and forget again")
        return
    content = path.read_bytes()
    if any(form.encode() in content for form in _forms(words)):
        yield Receipt("database", str(path), 0, "", _LEFT)


def in_postgres(instance: DagsterInstance, words: Collection[str]) -> Iterator[Receipt]:
    """Do the same where Dagster's settings name a Postgres server; a receipt that it is not known where they name another."""
    from sqlalchemy import create_engine, make_url

    url = getattr(instance.run_storage, "postgres_url", None)
    if url is None:
        left = "runs were deleted, but whether anything else quotes the person is unknown, and freed pages stay: see to it in that database"
        yield Receipt("database", type(instance.run_storage).__name__, 0, "", left)
        return
    named = make_url(url)
    # The rest of the address may be a secret.
    place = f"Postgres {named.host or 'of this machine'}, database {named.database}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield from _emptied_postgres(connection, place, words)
    finally:
        engine.dispose()


def _emptied_postgres(connection: Connection, place: str, words: Collection[str]) -> Iterator[Receipt]:
    from sqlalchemy import inspect, text
    from sqlalchemy.exc import DBAPIError

    connection.execute(text(f"SET lock_timeout = '{_BUSY_S}s'"))
    inspector = inspect(connection)
    tables = sorted(_TABLES.intersection(inspector.get_table_names()))
    if not tables:
        yield Receipt(
            "database", place, 0, "", "it has none of Dagster's tables in its search path: see where they are, and who quotes whom"
        )
    for table in tables:
        where = f"{place}, table {table}"
        try:
            connection.execute(text(f'VACUUM (FULL) "{table}"'))
        except DBAPIError as error:
            problem = str(error.orig).splitlines()[0]
            yield Receipt("database", where, 0, "", f"its freed pages stay: {problem}. Stop Dagster, and forget again")
        columns = ", ".join(f'CAST("{column["name"]}" AS text)' for column in inspector.get_columns(table))
        query = text(f'SELECT count(*) FROM "{table}" WHERE concat_ws(chr(10), {columns}) LIKE ANY (:forms)')
        found = connection.execute(query, {"forms": [f"%{_escaped(form)}%" for form in _forms(words)]}).scalar_one()
        if found:
            yield Receipt("database", where, found, "", _LEFT)


def _forms(words: Collection[str]) -> set[str]:
    """Return the words as Dagster's JSON may have them."""
    return {form for word in words for form in forms(word)}


def _escaped(form: str) -> str:
    """For LIKE, which takes these for itself."""
    return form.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
