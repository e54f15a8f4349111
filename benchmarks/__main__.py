"""Measure: `python -m benchmarks [--full] [--only GROUP…] [--record]`. Each line runs its yardstick and ours in turn.

Ends with 1 when a line's CPU ratio, or a figure, is more than a tenth above the largest that was recorded. A line is measured until so many
of its pairs are above that chance is no explanation, or half of them are not, at most six times as often. The clock decides what is
reached; it is not recorded, because whatever else the machine does shows in it.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb
from rich.console import Console

from benchmarks.grocer import grocer_lines
from benchmarks.growth import growth
from benchmarks.inbound import inbound_lines
from benchmarks.measure import Figure, Line, Result, measure
from benchmarks.minute import minute
from benchmarks.peers import peer_lines
from benchmarks.project import project_lines
from benchmarks.record import Record
from benchmarks.sending import sending_lines
from benchmarks.shop import Shop
from benchmarks.syncs import sync_lines

_MILLION = 1_000_000
_GROUPS: dict[str, Callable[[Path, int], Iterable[Line | Figure]]] = {
    "syncs": lambda folder, rows: sync_lines(Shop.make(folder / "shop", rows)),
    "inbound": lambda folder, rows: inbound_lines(folder, min(2 * rows, 10 * _MILLION)),
    "project": lambda folder, _rows: project_lines(folder, activations=1000),
    "sending": lambda folder, rows: sending_lines(folder, rows // 2),
    "peers": lambda folder, _rows: peer_lines(folder, _MILLION),
    "growth": lambda _folder, rows: _growth(full=rows >= 10 * _MILLION),
    "grocer": lambda folder, _rows: grocer_lines(folder / "grocer"),
    "minute": lambda folder, _rows: minute(folder, activations=200),
}
_LONG = {"grocer", "minute"}
_ROUNDS = 6


def main() -> None:
    """Run every group and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--full", action="store_true", help="ten million rows, growth to a hundred, real rows, and 200 syncs due at one minute"
    )
    parser.add_argument(
        "--rows", type=int, help="customers in the table; 10 columns each. The CSV file has up to twice as many orders, 12 columns each"
    )
    parser.add_argument("--runs", type=int, default=5, help="pairs of measurements a line")
    parser.add_argument("--only", nargs="+", choices=list(_GROUPS), metavar="GROUP", help=f"of {', '.join(_GROUPS)}")
    parser.add_argument("--record", action="store_true", help="keep what was found, beside the last runs that were recorded")
    arguments = parser.parse_args()
    record = Record.read("full" if arguments.full else "quick")
    rows = arguments.rows or (10 * _MILLION if arguments.full else 2 * _MILLION)
    groups = arguments.only or [group for group in _GROUPS if arguments.full or group not in _LONG]
    console = Console(highlight=False, width=180)
    console.print(
        f"{rows:,} rows of 10 columns, {platform.processor() or platform.machine()}, DuckDB {duckdb.__version__}, "
        f"Python {platform.python_version()}, {arguments.runs} runs"
    )
    progress = Console(stderr=True, highlight=False)
    found: list[Result | Figure] = []
    for group in groups:
        with tempfile.TemporaryDirectory() as folder:
            for work in _GROUPS[group](Path(folder), rows):
                found.append(work if isinstance(work, Figure) else _measured(work, arguments.runs, record))
                progress.print(f"measured: {work.name}")
    for table in record.tables(found):
        console.print("\n", table)
    if arguments.record:
        record.keep(found)
    elif any(record.is_behind(each) for each in found):
        sys.exit(1)


def _growth(*, full: bool) -> Iterable[Figure]:
    # An exponent from ten times as many rows moves twice as much with each second as one from a hundred times.
    return growth([_MILLION * size for size in (1, 10, 50, 100)], runs=1) if full else growth([_MILLION, 10 * _MILLION], runs=3)


def _measured(line: Line, runs: int, record: Record) -> Result:
    result = measure(line, runs)
    for _ in range(_ROUNDS - 1):
        if not record.may_be_behind(result):
            break
        result = Result(line, (*result.pairs, *measure(line, runs).pairs))
    return result


if __name__ == "__main__":
    main()
