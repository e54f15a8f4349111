"""Real rows: 20.9 million promotions of a grocer, each product in each store and week; a week that comes or goes is a delta."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import cycle
from pathlib import Path

from benchmarks.measure import Line
from benchmarks.site import Site
from demo.source import find_year

_KEY = ("product_id", "store_id", "week")
_EXPORT = {"run_type": "full_only", "sync_mode": "snapshot", "mapping": "*"}
_WEEKS = "weeks"
_LAST_WEEK = 53


def grocer_lines(root: Path) -> Iterator[Line]:
    """Full exports of all rows, and deltas of a fiftieth of them."""
    site = Site(root, "promotions")
    delta = {"format": "csv", "run_type": "full_then_delta", "sync_mode": "difference", "mapping": "*"}
    site.define(_KEY, {format_: {**_EXPORT, "format": format_} for format_ in ("csv", "parquet")} | {_WEEKS: delta})

    def show(last: int) -> None:
        # Some products are promoted twice in a week, in another place of the store or of the mailer.
        site.fill(
            f"SELECT {', '.join(_KEY)}, min(display_location) AS display_location, min(mailer_location) AS mailer_location "
            f"FROM read_parquet('{find_year()}/promotions.parquet') WHERE week <= {last} GROUP BY {', '.join(_KEY)}"
        )

    show(_LAST_WEEK)
    for format_ in ("csv", "parquet"):
        yield Line(f"promotions, {format_}", f"COPY to {format_}", 1.2, partial(site.deliver, format_), partial(site.copy, format_))
    site.deliver(_WEEKS)
    last_weeks = cycle([_LAST_WEEK - 1, _LAST_WEEK])
    yield Line(
        "promotions, one week less or more",
        "COPY of the snapshot to parquet",
        1.3,
        partial(site.deliver, _WEEKS),
        partial(site.copy, "parquet"),
        lambda: show(next(last_weeks)),
    )
