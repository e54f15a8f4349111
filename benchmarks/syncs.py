"""What a sync costs beside DuckDB's own COPY: full exports in each format, parts, deltas."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count

from benchmarks.measure import Line
from benchmarks.shop import DELTA, FORMATS, PARTS, Shop

_REACH = {"csv": 1.2, "ndjson": 1.2, "parquet": 1.2, "json": 1.5, "xml": 2.5}
_YARDSTICK = {"csv": "csv", "ndjson": "json", "parquet": "parquet", "json": "json", "xml": "json"}


def sync_lines(shop: Shop) -> Iterator[Line]:
    """The lines of one shop, to be measured in their order."""
    site = shop.site
    for format_ in FORMATS:
        copy = _YARDSTICK[format_]
        yield Line(f"full export, {format_}", f"COPY to {copy}", _REACH[format_], partial(site.deliver, format_), partial(site.copy, copy))
    yield Line("full export, csv in 100 parts", "COPY to csv", 2.0, partial(site.deliver, PARTS), partial(site.copy, "csv"))
    site.deliver(DELTA)
    # Each run changes other customers than the one before.
    every = count(100)
    deliver, copy_rows, name = partial(site.deliver, DELTA), partial(site.copy, "parquet"), "COPY of the snapshot to parquet"
    yield Line("delta, 1 % changed", name, 1.3, deliver, copy_rows, lambda: shop.change(every=next(every)))
    yield Line("delta, nothing changed", name, 1.2, deliver, copy_rows)
