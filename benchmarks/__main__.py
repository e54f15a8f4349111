"""Measure: `python -m benchmarks [--rows N]`. Each line runs DuckDB's own COPY and ours in turn, and prints the median ratio."""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import ParamSpec

import duckdb
from rich.console import Console
from rich.table import Table

from benchmarks.inbound import QUOTING, make_orders, read_with_duckdb, read_with_ours
from benchmarks.shop import FORMATS, Shop
from dinmo_pipeline.sync.labels import label_of_instant

_REACH = {"csv": 1.2, "ndjson": 1.2, "parquet": 1.2, "json": 1.5, "xml": 2.5}
_YARDSTICK = {"csv": "csv", "ndjson": "json", "parquet": "parquet", "json": "json", "xml": "json"}
_numbers = count()
P = ParamSpec("P")


def main() -> None:
    """Run every line and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rows",
        type=int,
        default=2_000_000,
        help="customers in the table; 10 columns each. The CSV file has twice as many orders, 12 columns each",
    )
    parser.add_argument("--runs", type=int, default=3, help="pairs of measurements a line")
    arguments = parser.parse_args()
    console = Console(highlight=False, width=140)
    console.print(
        f"{arguments.rows:,} rows of 10 columns, {platform.processor() or platform.machine()}, DuckDB {duckdb.__version__}, "
        f"Python {platform.python_version()}, {arguments.runs} runs"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("work", "yardstick", "ours s", "yardstick s", "ratio", "reach", ""):
        table.add_column(column, justify="left" if column in ("work", "yardstick", "") else "right")
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop.make(Path(folder), arguments.rows)
        for format_ in FORMATS:
            name = _YARDSTICK[format_]
            pairs = [(_time(_copy, shop, name), _time(_deliver, shop, format_)) for _ in range(arguments.runs)]
            _add(table, f"full export, {format_}", f"COPY to {name}", pairs, _REACH[format_])
        _deliver(shop, "delta")
        for work, every in (("delta, 1 % changed", 100), ("delta, nothing changed", None)):
            pairs = []
            for run in range(arguments.runs):
                # Each run changes other customers than the one before, or none.
                shop.change(every=every + run if every is not None else None)
                _deliver(shop, "delta") if every is None else None
                pairs.append((_time(_copy, shop, "parquet"), _time(_deliver, shop, "delta")))
            _add(table, work, "COPY to parquet", pairs, 1.3 if every else 1.2)
        for quoting in QUOTING:
            path = make_orders(Path(folder), quoting, 2 * arguments.rows)
            pairs = [(_time(read_with_duckdb, path), _time(read_with_ours, path)) for _ in range(arguments.runs)]
            _add(table, f"CSV read strictly, {quoting}", "read_csv into a table", pairs, 1.3)
    console.print(table)


def _copy(shop: Shop, format_: str) -> None:
    target = shop.root / f"yardstick.{format_}"
    options = ", COMPRESSION zstd" if format_ == "parquet" else ""
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        connection.execute(f"COPY models.customers TO '{target}' (FORMAT {format_}{options})")


def _deliver(shop: Shop, activation: str) -> None:
    now = datetime.now(UTC)
    label = f"{label_of_instant(now)}-{next(_numbers)}"
    syncs = shop.syncs(activation)
    if activation == "delta":
        syncs.take_snapshot(label, now=now)
    syncs.deliver(label, now=now)


def _time(work: Callable[P, object], *arguments: P.args, **options: P.kwargs) -> float:
    began = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - began


def _add(table: Table, work: str, yardstick: str, pairs: list[tuple[float, float]], reach: float) -> None:
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    ours, theirs = statistics.median(pair[1] for pair in pairs), statistics.median(pair[0] for pair in pairs)
    table.add_row(
        work, yardstick, f"{ours:.2f}", f"{theirs:.2f}", f"{ratio:.2f}", f"{reach:.1f}", "reached" if ratio <= reach else "not reached"
    )


if __name__ == "__main__":
    main()
