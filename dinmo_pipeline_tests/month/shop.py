"""The shop of the month: what it defines, and what its tables hold on each morning, computed apart from the product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from demo.source import find_year
from dinmo_pipeline_tests.servers.password_sftp import PasswordSftp

DEFINITIONS = """\
type: dinmo_pipeline.LocalFolder
attributes: {name: drop, path: drop}
---
type: dinmo_pipeline.LocalFolder
attributes: {name: out, path: out}
---
type: dinmo_pipeline.SftpServer
attributes:
  {name: partner, host: HOST, port: PORT, username: USERNAME, password: {env: PARTNER_PASSWORD}, host_key: "HOST_KEY", retries: 0}
---
type: dinmo_pipeline.Inbox
attributes: {name: grocer, storage: drop}
---
type: dinmo_pipeline.Feed
attributes:
  {inbox: grocer, entity: orders, source: till, primary_key: [order], updated_at: ordered at,
   columns: {order: number, household: number, store: number}, expected: {by: "00:35", rows: ">= 1"}}
---
type: dinmo_pipeline.Model
attributes:
  name: households
  description: Who bought something in the last seven days.
  primary_key: [household]
  max_age: 6 hours
  sql: |
    WITH orders AS (SELECT household, store, ordered_at::TIMESTAMP AS ordered_at FROM entities.orders)
    SELECT household, count(*) AS orders, count(DISTINCT store) AS stores, max(ordered_at) AS last_order_at
    FROM orders WHERE ordered_at >= (SELECT max(ordered_at)::DATE FROM orders) - INTERVAL 6 DAY
    GROUP BY household
---
type: dinmo_pipeline.Segment
attributes: {name: regulars, model: households, where: "orders >= 4"}
---
type: dinmo_pipeline.Model
attributes:
  name: daily_sales
  primary_key: [day]
  sql: |
    SELECT ordered_at::TIMESTAMP::DATE AS day, count(*) AS orders, count(DISTINCT household) AS households
    FROM entities.orders GROUP BY ALL
---
type: dinmo_pipeline.Model
attributes: {name: stores, primary_key: [store], sql: "SELECT * FROM 'stores.csv'"}
---
type: dinmo_pipeline.Activation
attributes:
  name: households_to_partner
  model: households
  destination: partner
  folder: households
  file_name: "{YYYY}-{MM}-{DD}_{HH}{mm}"
  format: csv
  run_type: full_then_delta
  sync_mode: difference
  mapping: {household: id, orders: orders, last_order_at: last order}
  schedule: ["30 1 * * *", "*/15 8-9 6 11 *"]
  expected: {by: "01:30", grace: 20 minutes}
---
type: dinmo_pipeline.Activation
attributes:
  name: sales_to_lake
  model: daily_sales
  destination: out
  folder: lake
  create_folder: false
  file_name: "{YYYY}{MM}{DD}"
  format: parquet
  run_type: full_then_delta
  sync_mode: upsert
  mapping: [day, orders, households]
  every: 1 day
  timezone: Europe/Paris
  expected: {by: "02:30", grace: 15 minutes, rows: ">= 1"}
---
type: dinmo_pipeline.Activation
attributes:
  name: households_to_crm
  model: households
  destination: out
  folder: crm
  file_name: "{X}"
  format: json
  run_type: full_then_delta
  sync_mode: upsert
  mapping: {household: id, stores: stores}
  schedule: "45 6 * * mon,thu"
  warn_if: {added: "> 200"}
---
type: dinmo_pipeline.Activation
attributes:
  name: regulars_to_mailing
  segment: regulars
  destination: out
  folder: mailing
  file_name: "{YYYY}-{MM}-{DD}"
  format: {type: ndjson, compression: gzip}
  run_type: full_then_delta
  sync_mode: insert
  mapping: {household: household, orders: orders}
  after: households_to_crm
---
type: dinmo_pipeline.Activation
attributes:
  name: stores_to_marketplace
  model: stores
  destination: out
  folder: marketplace
  file_name: "stores_{MM}{DD}"
  format: {type: xml, root: stores, row: store}
  run_type: full_only
  sync_mode: snapshot
  mapping: [store, orders]
  schedule: "0 5 * * tue,fri"
  timezone: Asia/Tokyo
---
type: dinmo_pipeline.Notify
attributes: {name: team, webhook: {url: {env: HOOK_TEAM}, secret: {env: HOOK_SECRET}}}
---
type: dinmo_pipeline.Notify
attributes: {name: on_call, level: failure, webhook: {url: {env: HOOK_ON_CALL}, secret: {env: HOOK_SECRET}}}
"""

Row = tuple[Any, ...]
Table = Mapping[Any, Row]


def make_shop(root: Path, partner: PasswordSftp) -> Path:
    """The project, with nothing in its inbox yet."""
    (root / "defs").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.dinmo]\ntimezone = "America/New_York"\n', encoding="utf-8")
    text = DEFINITIONS
    for name in ("host_key", "host", "port", "username"):
        text = text.replace(name.upper(), str(getattr(partner, name)))
    (root / "defs" / "defs.yaml").write_text(text, encoding="utf-8")
    for folder in ("drop/init", "drop/raw", "out/lake"):
        (root / folder).mkdir(parents=True)
    return root


def write_stores(root: Path, stores: Table) -> None:
    """The file that the model of the stores reads."""
    lines = ["store,orders", *(f"{store},{orders}" for store, (orders,) in stores.items())]
    (root / "stores.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Order:
    household: int
    store: int
    at: datetime


class Receipts:
    """What was ordered from `first` on. Each table is what it is on a morning, made of the orders of the days before."""

    def __init__(self, first: date, end: date) -> None:
        table = pq.read_table(find_year() / "transactions.parquet")
        at = table["transaction_timestamp"].cast("timestamp[us]")
        bounds = [datetime.combine(day, time()) for day in (first, end)]
        self._table = table.filter(pc.and_(pc.greater_equal(at, bounds[0]), pc.less(at, bounds[1])))
        columns = ["basket_id", "household_id", "store_id", "transaction_timestamp"]
        lines = set(zip(*(self._table[name].to_pylist() for name in columns), strict=True))
        self._orders = [_Order(household, store, moment.replace(tzinfo=None)) for _, household, store, moment in lines]

    def write_year(self, folder: Path) -> Path:
        """The year's files as the senders read them, with these days alone: they read all of it for each file that they send."""
        folder.mkdir()
        for path in find_year().glob("*.parquet"):
            if path.name != "transactions.parquet":
                (folder / path.name).symlink_to(path)
        pq.write_table(self._table, folder / "transactions.parquet")
        return folder

    def households(self, morning: date) -> Table:
        """`household: (orders, stores, last order)` of seven days."""
        known = self._before(morning)
        since = max(order.at for order in known).date() - timedelta(days=6)
        groups = _grouped((order.household, order) for order in known if order.at.date() >= since)
        return {
            household: (len(own), len({order.store for order in own}), max(order.at for order in own)) for household, own in groups.items()
        }

    def regulars(self, morning: date) -> Table:
        """Those of the households that ordered four times or more."""
        return {household: row for household, row in self.households(morning).items() if row[0] >= 4}

    def daily_sales(self, morning: date) -> Table:
        """`day: (orders, households)`."""
        groups = _grouped((order.at.date(), order) for order in self._before(morning))
        return {day: (len(own), len({order.household for order in own})) for day, own in groups.items()}

    def stores(self, morning: date) -> Table:
        """`store: (orders,)`."""
        return {store: (len(own),) for store, own in sorted(_grouped((order.store, order) for order in self._before(morning)).items())}

    def _before(self, morning: date) -> list[_Order]:
        return [order for order in self._orders if order.at.date() < morning]


def _grouped(pairs: Iterable[tuple[Any, _Order]]) -> dict[Any, list[_Order]]:
    found: dict[Any, list[_Order]] = {}
    for key, order in pairs:
        found.setdefault(key, []).append(order)
    return found
