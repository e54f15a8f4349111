"""A CSV file of orders: read by us as text and by DuckDB as typed columns, and merged into a table by both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.measure import Line
from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.formats.csv.read import open_csv
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.project.load import load_project

QUOTING = {"plain": "", "quoted": ", FORCE_QUOTE (sku, city, email, note)"}

_COLUMNS = {
    "id": "BIGINT",
    "customer_id": "BIGINT",
    "sku": "VARCHAR",
    "city": "VARCHAR",
    "price": "DOUBLE",
    "quantity": "INTEGER",
    "ordered_at": "TIMESTAMP",
    "day": "DATE",
    "paid": "BOOLEAN",
    "email": "VARCHAR",
    "note": "VARCHAR",
    "updated_at": "TIMESTAMP",
}
_ROWS = """\
SELECT
    i AS id,
    hash(i) % 1000000 AS customer_id,
    'SKU-' || (hash(i, 1) % 50000) AS sku,
    ['Paris', 'Lyon', 'Nantes', 'Lille; Nord', 'Nice', 'Brest'][1 + (hash(i, 2) % 6)::INTEGER] AS city,
    (hash(i, 3) % 10000) / 100.0 AS price,
    (hash(i, 4) % 9 + 1)::INTEGER AS quantity,
    TIMESTAMP '2024-01-01' + to_seconds((hash(i, 5) % 31536000)::BIGINT) AS ordered_at,
    DATE '2024-01-01' + (hash(i, 6) % 365)::INTEGER AS day,
    hash(i, 7) % 2 = 0 AS paid,
    CASE WHEN i % 10 > 0 THEN 'customer.' || (hash(i, 8) % 100000) || '@example.com' END AS email,
    'note number ' || (hash(i, 9) % 1000) AS note,
    TIMESTAMP '2025-01-01' + to_seconds((hash(i, 10) % 31536000)::BIGINT) AS updated_at
FROM range({first}, {first} + {rows}) AS t(i)
"""
_INBOX = """\
type: dinmo_pipeline.LocalFolder
attributes: {name: drop, path: drop}
---
type: dinmo_pipeline.Inbox
attributes: {name: partner, storage: drop, settle_seconds: 0, after_import: delete}
---
type: dinmo_pipeline.Feed
attributes:
  inbox: partner
  entity: orders
  source: shop
  primary_key: [id]
  updated_at: updated_at
  columns: {id: number, customer_id: number, price: number, quantity: number, ordered_at: timestamp, day: date, paid: boolean}
"""


def make_orders(path: Path, rows: int, *, quoting: str = "plain", first: int = 0) -> Path:
    """Write the file at `path`, about 130 bytes a row, ids from `first` on."""
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({_ROWS.format(first=first, rows=rows)}) TO '{path}' (HEADER, DELIMITER ';'{QUOTING[quoting]})")
    return path


def _read_csv(connection: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyRelation:
    return connection.read_csv(path, sep=";", header=True, auto_detect=False, quotechar='"', columns=_COLUMNS)


def read_with_duckdb(path: Path) -> int:
    """DuckDB's reader, told all that there is to know, into a table; the number of rows."""
    with duckdb.connect() as connection:
        _read_csv(connection, path).create("orders")
        found = connection.execute("SELECT count(*) FROM orders").fetchone()
    assert found is not None
    return int(found[0])


def read_with_ours(path: Path) -> int:
    """All batches of our reader, used by nobody; the number of rows."""
    return sum(batch.num_rows for batch in open_csv(path, CsvDialect(), key=["id"]).batches())


@dataclass(frozen=True)
class Merge:
    """A table of `rows` orders in `root`, ours in a warehouse and DuckDB's own, and a file nine tenths as long, half of it known orders."""

    root: Path
    rows: int

    @classmethod
    def make(cls, root: Path, rows: int) -> Merge:
        """Import the first orders, and write the file that is to be merged."""
        definitions = root / "defs"
        definitions.mkdir(parents=True)
        (root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
        (definitions / "defs.yaml").write_text(_INBOX, encoding="utf-8")
        made = cls(root, rows)
        for folder in ("raw", "init"):
            (root / "drop" / folder).mkdir(parents=True)
        first = make_orders(root / "orders_shop_20250101.csv", rows)
        with duckdb.connect(root / "theirs.duckdb") as connection:
            _read_csv(connection, first).create("orders")
        first.rename(root / "drop" / "raw" / first.name)
        made.import_due()
        shutil.copyfile(made._warehouse, root / "ours.duckdb")
        make_orders(made._file, rows * 9 // 10, first=rows // 2)
        return made

    def restore(self) -> None:
        """Both tables as they were, and the file in the inbox."""
        shutil.copyfile(self.root / "ours.duckdb", self._warehouse)
        shutil.copyfile(self.root / "theirs.duckdb", self.root / "merged.duckdb")
        shutil.copyfile(self._file, self.root / "drop" / "raw" / self._file.name)

    def import_due(self) -> int:
        """A pass over the inbox; the number of rows that it loaded."""
        with InboxPass(load_project(self.root), "partner") as inbox:
            return sum(record.loaded for record in inbox.take(inbox.look().due))

    def merge_with_duckdb(self) -> None:
        """`read_csv`, told all that there is to know, into a table, and `MERGE` of that."""
        updates = ", ".join(f"{name} = new.{name}" for name in _COLUMNS if name != "id")
        with duckdb.connect(self.root / "merged.duckdb") as connection:
            _read_csv(connection, self._file).create("incoming")
            connection.execute(
                "MERGE INTO orders AS old USING incoming AS new USING (id) WHEN MATCHED AND new.updated_at >= old.updated_at "
                f"THEN UPDATE SET {updates} WHEN NOT MATCHED THEN INSERT"
            )

    @property
    def _file(self) -> Path:
        return self.root / "orders_shop_20250102.csv"

    @property
    def _warehouse(self) -> Path:
        return load_project(self.root).warehouse_path


def inbound_lines(folder: Path, rows: int) -> Iterator[Line]:
    """Reading strictly beside DuckDB's reader, and a file merged into a table beside DuckDB's `MERGE`."""
    for quoting in QUOTING:
        path = make_orders(folder / f"orders_{quoting}.csv", rows, quoting=quoting)
        yield Line(
            f"CSV read strictly, {quoting}", "read_csv into a table", 1.3, partial(read_with_ours, path), partial(read_with_duckdb, path)
        )
    merge = Merge.make(folder / "merge", rows)
    yield Line("CSV imported and merged", "read_csv and MERGE", 1.5, merge.import_due, merge.merge_with_duckdb, merge.restore)
