"""How time and memory grow with the rows: each size in a process of its own."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import cost_of
from benchmarks.shop import DELTA, Shop
from benchmarks.syncs import deliver


def growth(sizes: list[int]) -> list[tuple[str, str]]:
    """For each size the CPU seconds and the peak of memory of a full CSV export and of a delta; the exponents between first and last."""
    found = []
    for rows in sizes:
        done = subprocess.run([sys.executable, "-m", "benchmarks.growth", str(rows)], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    lines = [
        (f"{size['rows']:,} rows", f"csv {size['csv']:.1f} s, delta {size['delta']:.1f} s of CPU, peak {size['megabytes']:,.0f} MB")
        for size in found
    ]
    scale = math.log(sizes[-1] / sizes[0])
    for work in ("csv", "delta"):
        exponent = math.log(found[-1][work] / found[0][work]) / scale
        lines.append((f"growth of {work}", f"exponent {exponent:.2f}, to reach 1.05"))
    return lines


def _measure(rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: what made the data must not count in the peak.
        _apart(f"Shop.make(Path({folder!r}), {rows})")
        shop = Shop(Path(folder), rows)
        csv = cost_of(lambda: deliver(shop, "csv")).cpu
        deliver(shop, DELTA)
        _apart(f"Shop(Path({folder!r}), {rows}).change(every=100)")
        delta = cost_of(lambda: deliver(shop, DELTA)).cpu
    return {"rows": rows, "csv": csv, "delta": delta, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _apart(work: str) -> None:
    # DuckDB's own progress bar would stand between the figures.
    subprocess.run([sys.executable, "-c", f"from benchmarks.shop import *; {work}"], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
