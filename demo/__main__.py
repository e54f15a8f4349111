"""Run the demo: three mornings, five activations, and what was delivered on each and why."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import yaml
from rich.console import Console

from demo.report import deliveries_table, files_tree, show_triple
from demo.shop import MADE_BY_THE_DEMO, MORNINGS, Shop

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run all three days, or with `--data-only` take in the first day's files where there are none."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--project", type=Path, default=ROOT, help="the example project, or a copy of it")
    parser.add_argument("--data-only", action="store_true", help="take in the first day's files if there are none, and deliver nothing")
    arguments = parser.parse_args()
    shop = Shop(arguments.project.resolve())
    if arguments.data_only:
        if not shop.inbox.exists():
            shop.receive_files(MORNINGS[0])
            shop.import_files()
        return
    console = Console(highlight=False)
    # A pipe has no width; eighty columns would cut the tables.
    run(shop, console if console.is_terminal else Console(highlight=False, width=140))


def run(shop: Shop, console: Console) -> None:
    """Start anew, then receive, import, deliver and explain each day."""
    began = time.monotonic()
    activations = read_activations(shop)
    console.print(f"Starting anew in {shop.root}: {', '.join(f'{name}/' for name in MADE_BY_THE_DEMO)} of an earlier demo are removed.")
    shop.start_anew()
    for morning in MORNINGS:
        console.rule(f"[bold]{morning:%A} {morning.day} {morning:%B %Y}", align="left")
        console.print(f"received {', '.join(shop.receive_files(morning))}")
        console.print("$ dinmo import", style="bold cyan")
        console.print(shop.import_files(), markup=False)
        console.print(f"$ {' '.join(shop.sync_all(morning))}\n", style="bold cyan")
        rows = [(name, format_name, mode, shop.history(name)[-1]) for name, (format_name, mode) in activations.items()]
        console.print(deliveries_table(rows), "")
    console.rule("[bold]Where the files are", align="left")
    console.print(files_tree(shop.root / "deliveries"))
    show_triple(console, shop.root / "deliveries" / "partners" / "win_back", f"{MORNINGS[-1]:%y-%m-%d}_lapsed")
    console.print(
        f"\nThree days in {time.monotonic() - began:.0f} s. "
        "Next: `.venv/bin/dinmo history lapsed_to_partner`, or `make dev` to see it in Dagster."
    )


def read_activations(shop: Shop) -> dict[str, tuple[str, str]]:
    """Format and mode of each activation, by name, as the definitions say."""
    documents = yaml.safe_load_all((shop.root / "dinmo_pipeline" / "defs" / "activations" / "defs.yaml").read_text(encoding="utf-8"))
    found = {}
    for attributes in (document["attributes"] for document in documents):
        format_ = attributes["format"]
        found[attributes["name"]] = (format_ if isinstance(format_, str) else format_["type"], attributes["sync_mode"])
    return found


if __name__ == "__main__":
    main()
