"""A CSV file of orders, its text quoted or not, read by us as text and by DuckDB as typed columns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.measure import Line
from dinmo_pipeline.inbound.csv_reading import open_csv
from dinmo_pipeline.project.specs import CsvDialect

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
FROM range({rows}) AS t(i)
"""


def make_orders(folder: Path, quoting: str, rows: int) -> Path:
    """Write the file, about 140 bytes a row."""
    path = folder / f"orders_{quoting}.csv"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({_ROWS.format(rows=rows)}) TO '{path}' (HEADER, DELIMITER ';'{QUOTING[quoting]})")
    return path


def read_with_duckdb(path: Path) -> int:
    """DuckDB's reader, told all that there is to know, into a table; the number of rows."""
    with duckdb.connect() as connection:
        connection.read_csv(path, sep=";", header=True, auto_detect=False, quotechar='"', columns=_COLUMNS).create("orders")
        found = connection.execute("SELECT count(*) FROM orders").fetchone()
    assert found is not None
    return int(found[0])


def read_with_ours(path: Path) -> int:
    """All batches of our reader, used by nobody; the number of rows."""
    return sum(batch.num_rows for batch in open_csv(path, CsvDialect(), key=["id"]).batches())


def inbound_lines(folder: Path, rows: int) -> Iterator[Line]:
    """Reading strictly beside DuckDB's reader."""
    for quoting in QUOTING:
        path = make_orders(folder, quoting, rows)
        yield Line(
            f"CSV read strictly, {quoting}", "read_csv into a table", 1.3, partial(read_with_ours, path), partial(read_with_duckdb, path)
        )
