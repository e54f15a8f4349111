"""What the demo shows: each day's deliveries and their reasons, the files, the difference triple."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.tree import Tree


def explain(sync: Mapping[str, Any], mode: str) -> str:
    """Why this sync sent what it sent, in a few words."""
    base = sync["compared_with"]
    if mode == "snapshot":
        return "all rows, every time"
    if base is None:
        return "the first sync, so all rows"
    if mode == "insert":
        return f"new since sync {base}; nobody a second time"
    if mode == "upsert":
        return f"added or changed since sync {base}"
    return f"what changed since sync {base}"


def deliveries_table(rows: Iterable[tuple[str, str, str, Mapping[str, Any]]]) -> Table:
    """One line an activation, from `(name, format, mode, its newest sync)`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("activation", "format", "mode"):
        table.add_column(column, no_wrap=True)
    for column in ("source", "added", "updated", "removed", "sent", "files"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("why")
    for name, format_name, mode, sync in rows:
        counts = [_number(sync[column]) for column in ("rows", "added", "updated", "removed")]
        sent = sum(file["rows"] for file in sync["files"])
        table.add_row(name, format_name, mode, *counts, _number(sent), str(len(sync["files"])), explain(sync, mode))
    return table


def files_tree(folder: Path) -> Tree:
    """All files under `folder` with their sizes."""
    tree = Tree(f"[bold]{folder.name}/[/]")
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            tree.add(files_tree(path))
        else:
            tree.add(f"{path.name}  [dim]{_size(path.stat().st_size)}[/]")
    return tree


def show_triple(console: Console, folder: Path, name: str) -> None:
    """Print the first lines of the three files of a difference, each under its name and number of rows."""
    for suffix in ("added", "updated", "removed"):
        path = folder / f"{name}_{suffix}.csv"
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines, delimiter=";"))
        console.print(f"\n[bold]{path.name}[/] [dim]{len(rows) - 1} rows[/]")
        for row in rows[:4]:
            console.print("  " + ";".join(row), markup=False, highlight=False, overflow="ellipsis", no_wrap=True)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _size(size: int) -> str:
    return f"{size:,} B" if size < 10_000 else f"{size / 1000:,.0f} kB"
