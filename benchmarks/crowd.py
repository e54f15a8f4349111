"""An inbox in which very many files lie: `python -m benchmarks.crowd 100000 [--sftp] [--strangers] [--take]`.

Each look and each pass is a process of its own, so that the peak of memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import memory_mb
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.project.load import load_project

_INBOX = """\
---
type: dinmo_pipeline.Inbox
attributes: {name: partner, storage: drop, settle_seconds: 0}
---
type: dinmo_pipeline.Feed
attributes: {inbox: partner, entity: contacts, source: shop, primary_key: [id], load: append, columns: {age: number}}
"""


def main() -> None:
    """Make the files, and print what looks and passes cost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", type=int)
    parser.add_argument("--sftp", action="store_true", help="on OpenSSH, on this machine")
    parser.add_argument("--strangers", action="store_true", help="files that are of no feed")
    parser.add_argument("--take", action="store_true", help="import them, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _storage(Path(folder), sftp=arguments.sftp) as (storage, drop):
        root = Path(folder)
        (root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
        (root / "defs").mkdir()
        (root / "defs/defs.yaml").write_text(storage + _INBOX, encoding="utf-8")
        _fill(drop / "raw", arguments.files, "pictures" if arguments.strangers else "contacts_shop")
        for work in ("look", "look", *(("take", "look") if arguments.take else ())):
            done = subprocess.run([sys.executable, "-m", "benchmarks.crowd", work, folder], stdout=subprocess.PIPE, text=True, check=True)
            print(f"{arguments.files:,} files, {work}: {done.stdout.strip()}", flush=True)


@contextmanager
def _storage(root: Path, *, sftp: bool) -> Iterator[tuple[str, Path]]:
    """The storage's definition, and the folder on this machine that it is."""
    if not sftp:
        yield "type: dinmo_pipeline.LocalFolder\nattributes: {name: drop, path: drop}\n", root / "drop"
        return
    from dinmo_pipeline_tests.servers.openssh import openssh

    with openssh() as server:
        login = server.login("plain")
        fields = {"host": server.host, "port": server.port, "username": login.username, "host_key": server.host_key}
        key = {"private_key": {"file": str(server.private_key)}}
        yield f"type: dinmo_pipeline.SftpServer\nattributes: {json.dumps({'name': 'drop', **fields, **key})}\n", login.home


def _fill(raw: Path, files: int, stem: str) -> None:
    raw.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (raw / f"{stem}_20240101_{number}.csv").write_text(f"id,age\n{number},{number % 90}\n", encoding="utf-8")


def _measure(work: str, root: Path) -> str:
    project = load_project(root)
    began = time.monotonic()
    with InboxPass(project, "partner") as inbox:
        seen = inbox.look()
        what = f"{len(seen.due):,} due, {len(seen.strangers):,} strangers"
        if work == "take":
            what = f"{sum(1 for _ in inbox.take(seen.due)):,} taken"
    seconds, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    kept = (root / ".dinmo/inbound/partner/looks.json").stat().st_size / 1e6
    cost = f"{seconds:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of CPU, peak {memory_mb('VmHWM'):,.0f} MB"
    return f"{cost}; {what}; looks.json {kept:,.0f} MB"


if __name__ == "__main__":
    if sys.argv[1:2] in (["look"], ["take"]):
        print(_measure(sys.argv[1], Path(sys.argv[2])))
    else:
        main()
