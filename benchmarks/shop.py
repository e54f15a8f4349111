"""A project with one table of customers, seeded, and one activation for each line that is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.site import Site

FORMATS = ("csv", "ndjson", "parquet", "json", "xml")
DELTA, PARTS = "delta", "parts"
_EXPORT = {"run_type": "full_only", "sync_mode": "snapshot", "mapping": "*"}

_ROWS = """\
SELECT
    i AS id,
    'Customer ' || i AS name,
    'customer.' || i || '@example.com' AS email,
    '+33 6 ' || (10000000 + hash(i) % 90000000) AS phone,
    ['Paris', 'Lyon', 'Nantes', 'Lille', 'Nice', 'Brest'][1 + (hash(i, 1) % 6)::INTEGER] AS city,
    (hash(i, 2) % 10000) / 100.0::DOUBLE AS score,
    ((hash(i, 3) % 1000000) / 100)::DECIMAL(12, 2) AS lifetime_value,
    (hash(i, 4) % 60)::INTEGER + {added_orders} AS orders,
    TIMESTAMP '2024-01-01' + to_seconds((hash(i, 5) % 31536000)::BIGINT) AS last_order_at,
    hash(i, 6) % 3 > 0 AS is_active
FROM range({rows}) AS t(i)
"""


def rows_query(rows: int, *, added_orders: str = "0") -> str:
    """A query that makes this many customers; `added_orders` is what SQL adds to the orders of each."""
    return _ROWS.format(rows=rows, added_orders=added_orders)


@dataclass(frozen=True)
class Shop:
    """So many customers in a project in `root`."""

    root: Path
    rows: int

    @classmethod
    def make(cls, root: Path, rows: int) -> Shop:
        """Write the definitions and the data, and refresh the table."""
        shop = cls(root, rows)
        shop.site.define(
            ["id"],
            {
                **{format_: {**_EXPORT, "format": format_} for format_ in FORMATS},
                PARTS: {**_EXPORT, "format": "csv", "max_rows": max(rows // 100, 1)},
                DELTA: {"format": "csv", "run_type": "full_then_delta", "sync_mode": "upsert", "mapping": "*"},
            },
        )
        shop.change(every=None)
        return shop

    @property
    def site(self) -> Site:
        """The project."""
        return Site(self.root, "customers")

    def change(self, *, every: int | None) -> None:
        """Write the data anew, with one order more for each `every`-th customer, and refresh the table."""
        added = f"CASE WHEN i % {every} = 0 THEN 1 ELSE 0 END" if every is not None else "0"
        self.site.fill(rows_query(self.rows, added_orders=added))
