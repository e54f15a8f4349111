"""How time and memory grow with the rows: each size in a process of its own."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, cost_of, memory_mb
from benchmarks.shop import DELTA, Shop

_MOST_MEGABYTES, _MOST_EXPONENT = 1500, 1.05


def growth(sizes: list[int], *, runs: int) -> Iterator[Figure]:
    """The peak of memory of a full CSV export and a delta at each size, and the exponents of their CPU seconds from first to last.

    Of so many runs the largest peak counts, and the least seconds, since whatever else the machine does only adds to them.
    """
    found = []
    for rows in sizes:
        measured = [_measured_apart(rows) for _ in range(runs)]
        size = {work: min(run[work] for run in measured) for work in ("csv", "delta")}
        found.append(size)
        megabytes = max(run["megabytes"] for run in measured)
        cost = f"MB; csv {size['csv']:.1f} s, delta {size['delta']:.1f} s of CPU"
        yield Figure(f"peak of memory, {rows:,} rows", megabytes, cost, _MOST_MEGABYTES)
    scale = math.log(sizes[-1] / sizes[0])
    for work in ("csv", "delta"):
        exponent = math.log(found[-1][work] / found[0][work]) / scale
        yield Figure(f"growth of {work}, {sizes[0]:,} to {sizes[-1]:,} rows", exponent, "exponent", _MOST_EXPONENT)


def _measured_apart(rows: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.growth", str(rows)], capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _measure(rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: what made the data must not count in the peak.
        _apart(f"Shop.make(Path({folder!r}), {rows})")
        shop = Shop(Path(folder), rows)
        csv = cost_of(lambda: shop.site.deliver("csv")).cpu
        shop.site.deliver(DELTA)
        _apart(f"Shop(Path({folder!r}), {rows}).change(every=100)")
        delta = cost_of(lambda: shop.site.deliver(DELTA)).cpu
    return {"rows": rows, "csv": csv, "delta": delta, "megabytes": memory_mb("VmHWM")}


def _apart(work: str) -> None:
    # DuckDB's own progress bar would stand between the figures.
    subprocess.run([sys.executable, "-c", f"from benchmarks.shop import *; {work}"], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
