"""Projects that faults happen to, and what must hold of each after any of them."""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.specs import Project
from dinmo_pipeline.sync.ledger.state import State
from dinmo_pipeline.sync.service import SyncService
from dinmo_pipeline_tests.faults.destinations import Destination, Lying
from dinmo_pipeline_tests.faults.kinds import AROUND, DISK_FULL, READ_ONLY, Ballast, Fault, possible_at
from dinmo_pipeline_tests.faults.points import Point, Site
from dinmo_pipeline_tests.faults.working import Job, Work, Workers
from dinmo_pipeline_tests.sync.disk import START
from dinmo_pipeline_tests.sync.readers import by_value, read_rows

_POLL_S = 0.01
_MOST_RUNS = 4
_DRAFT = re.compile(r"\.(draft|fetched|part|tmp)$")


class Problem(AssertionError):
    """What must hold does not."""

    is_loss = False


class Loss(Problem):
    """A change did not arrive, or arrived as another one."""

    is_loss = True


class Reader(threading.Thread):
    """Looks at a destination all the time, and keeps what it saw of files that anybody may read."""

    def __init__(self, destination: Destination) -> None:
        super().__init__(daemon=True)
        self._destination = destination
        self._ended = threading.Event()
        self.seen: set[tuple[str, str]] = set()

    def run(self) -> None:
        took = 0.0
        # No more often than a server can bear that is asked by others, too.
        while not self._ended.wait(max(_POLL_S, 2 * took)):
            began = time.monotonic()
            for path, lying in self._destination.files().items():
                if is_visible(path):
                    self.seen.add((path, hashlib.sha256(lying.content).hexdigest()))
            took = time.monotonic() - began

    def stop(self) -> set[tuple[str, str]]:
        """What it saw: paths, and the SHA-256 of what lay there."""
        self._ended.set()
        self.join()
        return self.seen


def is_visible(path: str) -> bool:
    """Whether it is a file for others."""
    return not path.rpartition("/")[2].startswith(".")


@dataclass
class Written:
    """Files that were written a second time: by the fault of the round, and which rule allows it."""

    twice: Counter[tuple[str, str]] = field(default_factory=Counter)
    partial: int = 0
    seen: int = 0


class World(ABC):
    """One project in `root`, which lies on a small disk of its own, and the destination that it works with."""

    job: Job

    def __init__(
        self, name: str, root: Path, destination: Destination, workers: Workers, *, variables: Mapping[str, str] | None = None
    ) -> None:
        self._workers = workers
        self.name, self.root, self.destination = name, root, destination
        self.written = Written()
        self.known: dict[Site, int] = {}
        self.rough: list[str] = []
        self._variables = variables or {}
        self._ballast = Ballast(root)
        self._changed_rights: list[tuple[Path, int]] = []
        self._now = START
        (root / "tmp").mkdir()
        (root / "defs").mkdir()
        # The disks here are smaller than what an import leaves free by default.
        (root / "pyproject.toml").write_text("[tool.dinmo.limits]\nfree_disk_bytes = 0\n")
        storage = {"type": f"dinmo_pipeline.{destination.type}", "attributes": {**destination.attributes, "name": "partner"}}
        documents = [storage, *self.documents()]
        (root / "defs/defs.yaml").write_text("\n---\n".join(map(json.dumps, documents)))

    @abstractmethod
    def documents(self) -> Sequence[Mapping[str, Any]]:
        """What is defined beside the storage."""

    @abstractmethod
    def change(self, chance: random.Random) -> None:
        """Something new for the next run."""

    @abstractmethod
    def settle(self) -> None:
        """Run without a fault until all is done."""

    @abstractmethod
    def check(self, seen: set[tuple[str, str]], why: str) -> None:
        """Problem unless all is as it must be; `seen` is what a reader saw meanwhile."""

    def possible(self, site: Site) -> tuple[str, ...]:
        """The kinds of faults that can happen at this point here."""
        there = self.destination.possible if site.nature == "remote" else (DISK_FULL, READ_ONLY)
        return tuple(kind for kind in possible_at(site) if kind not in AROUND or kind in there)

    @contextmanager
    def watched(self, why: str) -> Iterator[None]:
        """A reader looks on meanwhile, and all is checked afterwards."""
        reader = Reader(self.destination)
        reader.start()
        try:
            yield
            self.settle()
        finally:
            seen = reader.stop()
        self.check(seen, why)

    def run(self, *faults: Fault | None) -> list[Work]:
        """Do the job once for each, in one process."""
        self._now += timedelta(hours=1)
        done = self._workers.work(self.job, self.root, self._now, faults, self._variables, self._break, self._after_work)
        for each in done:
            for site, count in each.sites.items():
                self.known[site] = max(count, self.known.get(site, 0))
            if each.ended is not None and not each.ended.ours:
                self.rough.append(f"{each.fault}: an error that is none of ours: {each.ended.error}")
            if each.fault is None and (each.ended is None or each.ended.outcome == "failed"):
                raise Problem(f"a run without a fault ended with {each.ended}")
        return done

    def _break(self, fault: Fault, point: Point) -> None:
        chance = random.Random(fault.seed)
        is_there = point.site.nature == "remote" or Path(point.path).is_relative_to(self.root / "out")
        if fault.kind == DISK_FULL and not is_there:
            self._ballast.take()
        elif fault.kind == READ_ONLY and not is_there:
            folder = Path(point.path).parent if point.path else chance.choice(self._folders())
            while not folder.is_dir():
                folder = folder.parent
            self._changed_rights.append((folder, folder.stat().st_mode))
            folder.chmod(0o500)
        else:
            self.destination.break_it(fault.kind, lasts=chance.random() < 0.5)

    def _after_work(self) -> None:
        """All around is as it should be again."""
        self._ballast.drop()
        for folder, mode in self._changed_rights:
            if folder.exists():
                folder.chmod(mode)
        self._changed_rights = []
        self.destination.mend()

    def _folders(self) -> list[Path]:
        return [path for path in (self.root / ".dinmo").rglob("*") if path.is_dir()]

    def left_behind(self) -> list[str]:
        """Temporary files, wherever they are."""
        home = self.root / ".dinmo"
        here = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
        drafts = [path for path in here if path.startswith(("staging/", "trials/")) or "/fetched/" in path or _DRAFT.search(path)]
        elsewhere = [f"tmp/{path.name}" for path in (self.root / "tmp").iterdir()]
        there = [path for path in self.destination.files() if not is_visible(path) or path.endswith(".part")]
        return [*drafts, *elsewhere, *there]


class SyncWorld(World):
    """An activation whose consumer applies every file; one that `takes_away` deletes what it has read."""

    job: Job = "sync"

    def __init__(self, options: Mapping[str, Any], *world: Any, takes_away: bool = False, size: int = 0, **more: Any) -> None:
        self._options = options
        self._takes_away = takes_away
        self._size = size
        self._rows: dict[int, str] = {}
        self._copy: dict[Any, Any] = {}
        self._inserted: Counter[Any] = Counter()
        self._read: set[tuple[str, str]] = set()
        self._marks: dict[str, object] = {}
        self._showings: Counter[tuple[int, str]] = Counter()
        self._versions = 0
        self._project: Project | None = None
        super().__init__(*world, **more)

    @property
    def mode(self) -> str:
        """What the files mean."""
        return str(self._options["sync_mode"])

    @property
    def is_dated(self) -> bool:
        """Whether each sync has names of its own."""
        return "{" in str(self._options["file_name"])

    def documents(self) -> Sequence[Mapping[str, Any]]:
        sql = "SELECT * FROM read_csv('data.csv', header = true, columns = {id: 'INTEGER', v: 'VARCHAR'})"
        usual = {
            "name": "export",
            "model": "people",
            "destination": "partner",
            "folder": self.destination.folder,
            "run_type": "full_then_delta",
        }
        return [
            {"type": "dinmo_pipeline.Model", "attributes": {"name": "people", "primary_key": ["id"], "sql": sql}},
            {
                "type": "dinmo_pipeline.Activation",
                "attributes": {**usual, "mapping": {"id": "id", "v": "value"}, "run_type": "full_then_delta", **self._options},
            },
        ]

    def change(self, chance: random.Random) -> None:
        if self.is_dated:
            for path in [path for path in self.destination.files() if is_visible(path)]:
                self.destination.take_away(path)
                self._marks.pop(path, None)
        for _ in range(chance.randint(1, 3)):
            self._versions += 1
            key = chance.choice([*self._rows, self._versions, self._versions]) if self._rows else self._versions
            if key in self._rows and len(self._rows) > 2 and chance.random() < 0.4:
                del self._rows[key]
            else:
                self._rows[key] = f"v{self._versions}{'x' * self._size}"
        lines = [f"{key},{value}" for key, value in self._rows.items()]
        (self.root / "data.csv").write_text("\n".join(["id,v", *lines]) + "\n")

    def _after_work(self) -> None:
        super()._after_work()
        self.consume()

    def settle(self) -> None:
        for _ in range(_MOST_RUNS):
            (done,) = self.run(None)
            if done.ended is not None and done.ended.outcome == "delivered":
                return
        raise Problem("nothing is delivered any more")

    def consume(self) -> None:
        """Apply what is new at the destination, in the order that the names tell."""
        if self.mode == "snapshot":
            self._copy = {}
        state: State | None = None
        for path, lying in sorted(self.destination.files().items(), key=lambda item: _order(item[0])):
            sha256 = hashlib.sha256(lying.content).hexdigest()
            if not is_visible(path):
                continue
            if self._marks.get(path) != lying.marks:
                self._marks[path] = lying.marks
                state = state or self.state()
                self._showings[self._owner(state, path), path] += 1
                self._apply(path, lying, is_new=(path, sha256) not in self._read)
                self._read.add((path, sha256))
            elif self.mode == "snapshot":
                self._apply(path, lying, is_new=False)
            if self._takes_away:
                self.destination.take_away(path)
                del self._marks[path]

    def check(self, seen: set[tuple[str, str]], why: str) -> None:
        state = self.state()
        puts = [put for sync in state.syncs.values() for attempt in sync.attempts for put in attempt.puts]
        whole = {(put.path.removeprefix(f"{self.destination.folder}/"), put.sha256) for put in puts}
        partial = seen - whole
        self.written.seen += len(seen)
        self.written.partial += len(partial)
        for (number, path), times in self._showings.items():
            if times > 1:
                delivery = state.syncs[number].delivery
                if delivery is None or not delivery.rolled_forward:
                    raise Problem(f"{path} of sync {number} was written {times} times, and it was not interrupted")
                self.written.twice[why, "interrupted in the middle of delivering"] += times - 1
        self._showings.clear()
        if partial:
            raise Problem(f"a reader saw what is no whole file: {sorted(partial)}")
        self._check_copy()
        if left := self.left_behind():
            raise Problem(f"temporary files are left: {left}")

    def state(self) -> State:
        """What the log says."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._variables.items():
                patch.setenv(name, value)
            self._project = self._project or load_project(self.root)
            return SyncService(self._project, self._project.activations["export"]).state()

    def _owner(self, state: State, path: str) -> int:
        full = f"{self.destination.folder}/{path}"
        owners = [sync.number for sync in state.syncs.values() if any(put.path == full for attempt in sync.shown for put in attempt.puts)]
        if not owners:
            raise Problem(f"{path} is there, and no sync has said that it may show it")
        return max(owners)

    def _apply(self, path: str, lying: Lying, *, is_new: bool) -> None:
        if path.endswith((".manifest.json", ".done")):
            return
        local_path = self.root.parent / "applied"
        local_path.write_bytes(lying.content)
        for row in read_rows(local_path, path.rpartition(".")[2]):
            if "_removed" in path:
                self._copy.pop(row["id"], None)
            else:
                self._copy[row["id"]] = row["value"]
                self._inserted[row["id"]] += is_new

    def _check_copy(self) -> None:
        table = {by_value(key): by_value(value) for key, value in self._rows.items()}
        if self.mode == "insert":
            lost = [key for key in table if not self._inserted[key]]
            repeated = [key for key, times in self._inserted.items() if times > 1]
            if lost or repeated:
                raise Loss(f"keys that never came: {lost}; keys that came twice: {repeated}")
        else:
            copy = {key: value for key, value in self._copy.items() if self.mode != "upsert" or key in table}
            if copy != table:
                raise Loss(f"the consumer has {sorted(copy.items() - table.items())} instead of {sorted(table.items() - copy.items())}")


def _order(path: str) -> tuple[int, int, str]:
    found = re.match(r"(\d*)", path)
    change = re.search(r"_(added|updated|removed)", path)
    return int((found and found[1]) or 0), ("added", "updated", "removed").index(change[1]) if change else 0, path


class ImportWorld(World):
    """An inbox whose senders number their rows: each must arrive once."""

    job: Job = "import"

    def __init__(self, options: Mapping[str, Any], *world: Any, after_import: str = "move", size: int = 0, **more: Any) -> None:
        self._options = options
        self._after_import = after_import
        self._size = size
        self._dropped: dict[str, bytes] = {}
        self._files = 0
        self._refused: set[str] = set()
        self._ids: list[int] = []
        super().__init__(*world, **more)

    def documents(self) -> Sequence[Mapping[str, Any]]:
        inbox = {
            "name": "partner",
            "storage": "partner",
            "folder": self.destination.folder,
            "settle_seconds": 0,
            "after_import": self._after_import,
        }
        feed = {
            "inbox": "partner",
            "entity": "contacts",
            "source": "shop",
            "primary_key": ["id"],
            "columns": {"id": "number", "age": "number"},
        }
        return [
            {"type": "dinmo_pipeline.Inbox", "attributes": {**inbox, "after_import": self._after_import}},
            {"type": "dinmo_pipeline.Feed", "attributes": {**feed, "columns": {"id": "number", "age": "number"}, **self._options}},
        ]

    def change(self, chance: random.Random) -> None:
        for path in self.destination.files():
            self.destination.take_away(path)
        self._dropped = {}
        for _ in range(chance.randint(1, 3)):
            self._files += 1
            name = f"contacts_shop_{20240101 + self._files % 28}_{self._files}.csv"
            lines = ["id,age,pad"]
            ids: list[int] = []
            for _ in range(chance.randint(1, 4)):
                ids.append(len(self._ids) + len(ids) + 1)
                lines.append(f"{ids[-1]},{chance.randint(1, 99)},{'x' * self._size}")
            if chance.random() < 0.3:
                lines.append("9,old,")
            if self._ids and chance.random() < 0.2:
                lines.append('8,"1,')
                self._refused.add(name)
            else:
                self._ids += ids
            self._dropped[name] = ("\n".join(lines) + "\n").encode()
            self.destination.drop(f"raw/{name}", self._dropped[name])

    def settle(self) -> None:
        for _ in range(_MOST_RUNS):
            self.run(None)
            if self._after_import == "leave" or not any(path.startswith("raw/") for path in self.destination.files()):
                return
        raise Problem("it is never done")

    def check(self, seen: set[tuple[str, str]], why: str) -> None:
        whole = {hashlib.sha256(content).hexdigest() for content in self._dropped.values()}
        ours = [(path, sha256) for path, sha256 in seen if path.startswith("imports/") and sha256 not in whole]
        ways = Counter(path for path, _ in ours)
        changed = [path for path, count in ways.items() if count > 1]
        moved = [path for path, _ in ours if not path.endswith((".rejects.csv", ".reason.txt"))]
        self.written.seen += len(seen)
        self.written.partial += len(changed) + len(moved)
        if changed or moved:
            raise Problem(f"a reader saw what is no whole file: {changed} {moved}")
        self._check_rows()
        self._check_files()
        if left := self.left_behind():
            raise Problem(f"temporary files are left: {left}")

    def _check_rows(self) -> None:
        with duckdb.connect(str(load_project(self.root).warehouse_path), read_only=True) as connection:
            ids = [int(row[0]) for row in connection.execute("SELECT id FROM feeds.contacts_shop ORDER BY id").fetchall()]
            untidied = connection.execute("SELECT name FROM inbound.files WHERE NOT tidied").fetchall()
            repeated = connection.execute("SELECT name FROM inbound.files GROUP BY name HAVING count(*) > 1").fetchall()
        if ids != self._ids:
            twice = [key for key, count in Counter(ids).items() if count > 1]
            raise Loss(f"rows that are lost: {sorted(set(self._ids) - set(ids))}; rows that came twice: {twice}")
        if untidied or repeated:
            raise Problem(f"files that were not brought away: {untidied}; files that were recorded twice: {repeated}")

    def _check_files(self) -> None:
        there = {path: file for path, file in self.destination.files().items() if path.rpartition("/")[2] in self._dropped}
        stay = [name for name in self._dropped if self._after_import != "delete" or name in self._refused]
        if sorted(path.rpartition("/")[2] for path in there) != sorted(stay):
            raise Loss(f"it was dropped {sorted(self._dropped)}, and there lies {sorted(there)}")
        for path, file in there.items():
            name = path.rpartition("/")[2]
            if file.content != self._dropped[name]:
                raise Problem(f"{path} is not what was dropped")
            folder = "raw/" if self._after_import == "leave" else "imports/refused/" if name in self._refused else "imports/2"
            if not path.startswith(folder):
                raise Problem(f"{path} lies in the wrong place")
