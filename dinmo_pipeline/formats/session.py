"""The connection's settings while a file is written: they decide its bytes, so they are set here and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from dinmo_pipeline.warehouse.identifiers import quote_literal


@contextmanager
def writing_settings(connection: duckdb.DuckDBPyConnection, timezone: str) -> Iterator[None]:
    """Set the time zone and keep the rows' order; both are as before afterwards, whatever happens in between."""
    wanted = {"TimeZone": timezone, "preserve_insertion_order": "true"}
    before = connection.execute("SELECT current_setting('TimeZone'), current_setting('preserve_insertion_order')::VARCHAR").fetchone() or ()
    changed = {name: old for (name, value), old in zip(wanted.items(), before, strict=True) if value != old}
    try:
        for name in changed:
            connection.execute(f"SET {name} = {quote_literal(wanted[name])}")
        yield
    finally:
        for name, old in changed.items():
            connection.execute(f"SET {name} = {quote_literal(old)}")
