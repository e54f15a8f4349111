"""What a sync costs beside DuckDB's own COPY: full exports in each format, parts, deltas."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count

import duckdb

from benchmarks.measure import Line
from benchmarks.shop import DELTA, FORMATS, PARTS, Shop
from dinmo_pipeline.sync.labels import label_of_instant

_REACH = {"csv": 1.2, "ndjson": 1.2, "parquet": 1.2, "json": 1.5, "xml": 2.5}
_YARDSTICK = {"csv": "csv", "ndjson": "json", "parquet": "parquet", "json": "json", "xml": "json"}
_numbers = count()


def sync_lines(shop: Shop) -> Iterator[Line]:
    """The lines of one shop, to be measured in their order."""
    for format_ in FORMATS:
        yardstick = _YARDSTICK[format_]
        yield Line(
            f"full export, {format_}",
            f"COPY to {yardstick}",
            _REACH[format_],
            partial(deliver, shop, format_),
            partial(copy, shop, yardstick),
        )
    yield Line("full export, csv in 100 parts", "COPY to csv", 2.0, lambda: deliver(shop, PARTS), lambda: copy(shop, "csv"))
    deliver(shop, DELTA)
    # Each run changes other customers than the one before.
    every = count(100)
    yardstick_copy = "COPY of the snapshot to parquet"
    yield Line(
        "delta, 1 % changed",
        yardstick_copy,
        1.3,
        lambda: deliver(shop, DELTA),
        lambda: copy(shop, "parquet"),
        lambda: shop.change(every=next(every)),
    )
    yield Line("delta, nothing changed", yardstick_copy, 1.2, lambda: deliver(shop, DELTA), lambda: copy(shop, "parquet"))


def copy(shop: Shop, format_: str) -> None:
    """DuckDB alone: the table to one file."""
    target = shop.root / f"yardstick.{format_}"
    options = ", COMPRESSION zstd" if format_ == "parquet" else ""
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"COPY models.customers TO '{target}' (FORMAT {format_}{options})")


def deliver(shop: Shop, activation: str) -> None:
    """A sync without the refresh of its model: rows kept where they are compared, files written, put, moved, recorded."""
    now = datetime.now(UTC)
    label = f"{label_of_instant(now)}-{next(_numbers)}"
    syncs = shop.syncs(activation)
    if activation == DELTA:
        syncs.take_snapshot(label, now=now)
    syncs.deliver(label, now=now)
