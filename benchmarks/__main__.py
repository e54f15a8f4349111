"""Measure: `python -m benchmarks [--full] [--record]`. Each line runs its yardstick and ours in turn.

Ends with 1 when a line's CPU ratio is more than a tenth above the recorded one. The clock decides what is reached; it is not recorded,
because whatever else the machine does shows in it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from benchmarks.growth import growth
from benchmarks.inbound import inbound_lines
from benchmarks.measure import Result, measure
from benchmarks.minute import minute
from benchmarks.project import project_lines
from benchmarks.shop import Shop
from benchmarks.syncs import sync_lines

_RECORDED = Path(__file__).with_name("recorded.json")
_ALLOWED = 1.1
_COLUMNS = ("work", "yardstick", "ours s", "yardstick s", "ratio", "reach", "", "CPU ratio", "recorded", "")


def main() -> None:
    """Run every line and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--full", action="store_true", help="ten million rows, how time and memory grow, and 200 syncs due at one minute")
    parser.add_argument(
        "--rows", type=int, help="customers in the table; 10 columns each. The CSV file has twice as many orders, 12 columns each"
    )
    parser.add_argument("--runs", type=int, default=5, help="pairs of measurements a line")
    parser.add_argument("--only", default="", help="only the lines whose name has this in it")
    parser.add_argument("--record", action="store_true", help="keep the CPU ratios as those to be held")
    arguments = parser.parse_args()
    size = "full" if arguments.full else "quick"
    rows = arguments.rows or (10_000_000 if arguments.full else 2_000_000)
    console = Console(highlight=False, width=180)
    console.print(
        f"{rows:,} rows of 10 columns, {platform.processor() or platform.machine()}, DuckDB {duckdb.__version__}, "
        f"Python {platform.python_version()}, {arguments.runs} runs"
    )
    recorded: dict[str, dict[str, float]] = json.loads(_RECORDED.read_text(encoding="utf-8")) if _RECORDED.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop.make(Path(folder) / "shop", rows)
        lines = (*sync_lines(shop), *inbound_lines(Path(folder), 2 * rows), *project_lines(Path(folder), activations=1000))
        results = [measure(line, arguments.runs) for line in lines if arguments.only in line.name]
    held = recorded.get(size, {})
    console.print(_table(results, held))
    if arguments.full:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (*growth([1_000_000, 10_000_000, 50_000_000, 100_000_000]), *minute(Path(folder), activations=200)):
                console.print(f"{name}: {text}")
    if arguments.record:
        recorded[size] = held | {result.line.name: round(result.cpu_ratio, 2) for result in results}
        _RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    elif any(_is_behind(result, held) for result in results):
        sys.exit(1)


def _is_behind(result: Result, recorded: dict[str, float]) -> bool:
    return result.cpu_ratio > recorded.get(result.line.name, result.cpu_ratio) * _ALLOWED


def _table(results: list[Result], recorded: dict[str, float]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in ("work", "yardstick", "") else "right")
    for result in results:
        line = result.line
        table.add_row(
            line.name,
            line.yardstick,
            f"{result.ours:.2f}",
            f"{result.theirs:.2f}",
            f"{result.wall_ratio:.2f}",
            f"{line.reach:.1f}",
            "reached" if result.is_reached else "not reached",
            f"{result.cpu_ratio:.2f}",
            f"{recorded[line.name]:.2f}" if line.name in recorded else "-",
            "behind" if _is_behind(result, recorded) else "",
        )
    return table


if __name__ == "__main__":
    main()
