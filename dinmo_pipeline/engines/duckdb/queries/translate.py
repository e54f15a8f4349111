"""DuckDB asked by a sync: a failure as what it means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from dinmo_pipeline.engines.duckdb.connection import disk_errors
from dinmo_pipeline.engines.duckdb.queries.query_errors import query_words
from dinmo_pipeline.errors import DataError


@contextmanager
def translate_duckdb_errors(action: str) -> Iterator[None]:
    """Raise failures of DuckDB and of the disk as what they mean for a sync that was `action`."""
    try:
        with disk_errors(action):
            yield
    except duckdb.Error as error:
        raise DataError(f"{action}: {query_words(error)}; nothing was delivered") from error
