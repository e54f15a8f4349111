"""The connection's settings while a file is written: they decide its bytes, so they are set here and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from dinmo_pipeline.sql.quoting import quote_literal


@contextmanager
def writing_settings(connection: duckdb.DuckDBPyConnection, timezone: str) -> Iterator[None]:
    """Set the time zone, keep the rows' order and write in the foreground; all are as before afterwards, whatever happens in between."""
    # DuckDB 2.0.0 deadlocks when a COPY fails while a thread of its own is writing: without such threads the error comes.
    wanted = {"TimeZone": timezone, "preserve_insertion_order": "true", "async_threads": "0"}
    settings = ", ".join(f"CAST(current_setting({quote_literal(name)}) AS VARCHAR)" for name in wanted)
    before = connection.execute(f"SELECT {settings}").fetchone() or ()
    changed = {name: old for (name, value), old in zip(wanted.items(), before, strict=True) if value != old}
    try:
        for name in changed:
            connection.execute(f"SET {name} = {quote_literal(wanted[name])}")
        yield
    finally:
        for name, old in changed.items():
            connection.execute(f"SET {name} = {quote_literal(old)}")
