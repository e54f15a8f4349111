"""Dagster's daemon at work: `python -m benchmarks.soak_daemon [--minutes 15] [--activations 10] [--drop-every 5]`.

`dinmo dev` as anybody runs it. Every activation is due each minute, a file comes into an inbox every few seconds, and `dinmo clean`
is called every five minutes. What each lasting process and the disk hold is printed each minute; the processes of runs come and go and do
not count. Ends with 1 when something grew that must not, in the second half of the time, or a run failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from benchmarks.minute import environment, program, serving
from benchmarks.soak import definitions, grown, kilobytes

_CLEAN_EVERY_MINUTES = 5
_EACH_MINUTE = ', keep_syncs: 3, schedule: "* * * * *"'
# What stands in the command of each process that lasts.
_ROLES = {"dagster._daemon": "daemon", "dagster_webserver": "web", "code-server": "code", "api grpc": "code"}


@dataclass(frozen=True)
class Held:
    """What is held: MB of the daemon, the code server's processes and the web server; open files and threads of all of them; processes
    that ended and were not taken leave of; temporary files; kB of Dagster's storage.
    """

    daemon_mb: int
    code_mb: int
    web_mb: int
    open_files: int
    threads: int
    zombies: int
    temporary: int
    dagster_kb: int


_MAY_GROW = {"daemon_mb": 0.1, "code_mb": 0.1, "web_mb": 0.1, "open_files": 0.1, "threads": 0.1, "dagster_kb": 0.3}


def main() -> None:
    """Let it work, and print what is held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak_daemon", description=__doc__)
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--activations", type=int, default=10, help="how many syncs are due each minute")
    parser.add_argument("--drop-every", type=float, default=5, help="seconds between two files for the inbox")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "shop"
        _make(root, arguments.activations)
        with serving(root, TMPDIR=str(root / "tmp")) as (process, _):
            along = list(_soak(root, process, arguments.minutes, arguments.drop_every))
        with DagsterInstance.from_config(str(root / ".dinmo/dagster")) as instance:
            failed = instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.FAILURE]))
    problems = [*grown(along, _MAY_GROW), *([f"{failed} runs failed"] if failed else [])]
    for each in problems:
        print(f"PROBLEM: {each}")
    sys.exit(1 if problems else 0)


def _make(root: Path, activations: int) -> None:
    for name in ("defs", "drop/raw", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
    (root / "defs/defs.yaml").write_text(definitions(activations, more=_EACH_MINUTE), encoding="utf-8")
    _change(root, 0)


def _change(root: Path, number: int) -> None:
    """Other data for the next syncs, and a file for the inbox; each is there in one step."""
    rows = "".join(f"{key},{number if key % 10 == number % 10 else 0}\n" for key in range(1000))
    (root / "tmp.csv").write_text(f"id,v\n{rows}", encoding="utf-8")
    (root / "tmp.csv").replace(root / "data.csv")
    (root / "drop/raw" / f"contacts_shop_20240101_{number}.csv").write_text("id,age\n" + rows, encoding="utf-8")


def _soak(root: Path, process: int, minutes: int, drop_every_s: float) -> Iterator[Held]:
    print(f"{'minute':>8} {'syncs':>7} {'imports':>8} " + " ".join(f"{field.name:>10}" for field in fields(Held)))
    began, number = time.monotonic(), 0
    for minute in range(1, minutes + 1):
        while time.monotonic() < began + 60 * minute:
            number += 1
            _change(root, number)
            time.sleep(drop_every_s)
        if minute % _CLEAN_EVERY_MINUTES == 0:
            subprocess.run([program("dinmo"), "clean"], cwd=root, env=environment(), check=True, stdout=subprocess.DEVNULL)
        held = _held(root, process)
        syncs, imports = len(list((root / "out").glob("*/*added*"))), len(list((root / "drop/imports").glob("*/*")))
        print(
            f"{minute:>8} {syncs:>7,} {imports:>8,} " + " ".join(f"{getattr(held, field.name):>10,}" for field in fields(Held)), flush=True
        )
        yield held


def _held(root: Path, process: int) -> Held:
    counts: Counter[str] = Counter()
    for each in _descendants(process):
        try:
            command = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            role = next((role for mark, role in _ROLES.items() if mark in command), None)
            counts["zombies"] += (each / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if role is not None:
                pages = int((each / "statm").read_text().split()[1])
                counts[f"{role}_mb"] += pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000
                counts["open_files"] += sum(1 for _ in (each / "fd").iterdir())
                counts["threads"] += sum(1 for _ in (each / "task").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            # The process of a run, which has ended since.
            continue
    counts["temporary"] = sum(len(names) for folder in (root / "tmp", root / ".dinmo/staging") for _, _, names in os.walk(folder))
    counts["dagster_kb"] = kilobytes(root / ".dinmo/dagster")
    return Held(**{field.name: counts[field.name] for field in fields(Held)})


def _descendants(process: int) -> Iterator[Path]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    waiting = [process]
    while waiting:
        each = waiting.pop()
        yield Path(f"/proc/{each}")
        waiting += children.get(each, [])


if __name__ == "__main__":
    main()
