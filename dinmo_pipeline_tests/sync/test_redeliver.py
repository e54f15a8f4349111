"""Delivering again what was delivered: the consumer ends right whatever stops it, and the base stays where it was."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.errors import SyncRefused
from dinmo_pipeline.formats.csv.write import CsvFormat
from dinmo_pipeline.storages.local.spec import LocalFolder
from dinmo_pipeline.sync.backends.local import LocalBackend
from dinmo_pipeline.sync.deliver.redirect import target_elsewhere
from dinmo_pipeline.sync.service import SyncService

from .disk import Disk

TRIPLE = 'file_name: "{x}_e", sync_mode: difference, mapping: {id: id, v: value}'
OPTIONS = f"{TRIPLE}, manifest: true"
# Each key changes in another sync; 4 comes, leaves and comes back.
DAYS: tuple[dict[int, str], ...] = (
    {1: "a", 2: "a", 3: "a"},
    {1: "b", 2: "a", 3: "a", 4: "a", 9: "only here"},
    {1: "b", 2: "c", 3: "a"},
    {1: "b", 2: "c", 3: "d", 4: "d"},
)
TODAY = {1: "e", 3: "d", 5: "e"}


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Consumer:
    """Reads what lies there in the order of names, and takes it away."""

    folder: Path
    copy: dict[int, str] = field(default_factory=dict)

    def read(self) -> None:
        order = {"added": 0, "updated": 1, "removed": 2}
        files = [path for path in self.folder.iterdir() if not path.name.startswith(".")]
        for path in sorted(files, key=lambda path: (path.name.split("_")[0], order.get(path.stem.split("_")[-1], 3))):
            if path.suffix == ".csv":
                for row in csv.DictReader(path.read_text().splitlines()):
                    if path.stem.endswith("removed"):
                        self.copy.pop(int(row["id"]), None)
                    else:
                        self.copy[int(row["id"])] = row["value"]
            path.unlink()


def delivered_disk(root: Path, options: str = OPTIONS) -> tuple[Disk, Consumer, dict[str, bytes]]:
    """Four syncs, read by a consumer; and every file as it was."""
    disk = Disk(root, options)
    for rows in DAYS:
        disk.set_rows(rows)
        disk.run()
    files = {path.name: path.read_bytes() for path in disk.files()}
    consumer = Consumer(disk.out)
    consumer.read()
    assert consumer.copy == DAYS[-1]
    return disk, consumer, files


def test_sync_and_all_newer_ones_come_again_byte_for_byte(tmp_path: Path) -> None:
    disk, consumer, files = delivered_disk(tmp_path)
    before = disk.syncs().state()
    deliveries = disk.syncs().redeliver(2)
    again = {path.name: path.read_bytes() for path in disk.files()}
    consumer.read()

    assert [delivery.export.number for delivery in deliveries] == [2, 3, 4]
    assert len(again) == 12
    assert again == {name: files[name] for name in again}
    assert consumer.copy == DAYS[-1]
    after = disk.syncs().state()
    assert (after.newest, after.next_number) == (replace_again(before.newest, after.newest), before.next_number)
    assert disk.left_behind() == []


def replace_again(before: Any, after: Any) -> Any:
    """The record as it was, but for what a redelivery adds to it."""
    return replace(before, attempts=after.attempts, shown=after.shown, redelivered_at=after.redelivered_at)


def test_next_sync_is_compared_with_the_newest_as_before(tmp_path: Path) -> None:
    disk, consumer, _ = delivered_disk(tmp_path)
    disk.syncs().redeliver(2)
    disk.set_rows(TODAY)
    disk.run()
    consumer.read()

    assert disk.syncs().state().syncs[5].base == 4
    assert consumer.copy == TODAY


STEPS = ((LocalBackend, "create"), (LocalFolder, "put"), (LocalFolder, "move"))


def test_killed_redelivery_is_completed_by_the_next_sync_before_its_own_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, pristine = tmp_path / "disk", tmp_path / "pristine"
    delivered_disk(root, TRIPLE)
    shutil.copytree(root, pristine)
    calls = 0
    for kill_at in range(1, 100):
        shutil.rmtree(root)
        shutil.copytree(pristine, root)
        disk, consumer = Disk(root, TRIPLE, runs=len(DAYS)), Consumer(root / "out", dict(DAYS[-1]))
        calls = 0

        def counted(method: Callable[..., Any], kill_at: int = kill_at) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == kill_at:
                    raise Killed
                return method(*args, **options)

            return call

        with monkeypatch.context() as patched:
            for owner, name in STEPS:
                patched.setattr(owner, name, counted(getattr(owner, name)))
            try:
                disk.syncs().redeliver(3)
            except Killed:
                pass
            else:
                break
        # The worst: what was shown is read at once.
        consumer.read()
        disk.set_rows(TODAY)
        disk.run()
        consumer.read()

        assert consumer.copy == TODAY, f"killed at call {kill_at}"
        assert disk.left_behind() == [], f"killed at call {kill_at}"
        assert disk.syncs().state().redelivering == ()
    assert calls == 19, "an entry before all, three a sync, and each file put and moved"


def test_full_sync_closes_an_interrupted_redelivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, consumer, _ = delivered_disk(tmp_path)
    done = []

    def killed_at_the_second(self: LocalBackend, activation: str, path: str, text: bytes) -> bool:
        if b'"type": "prepared"' in text or b'"type":"prepared"' in text:
            done.append(path)
            if len(done) == 2:
                raise Killed
        return create(self, activation, path, text)

    create = LocalBackend.create
    with monkeypatch.context() as patched:
        patched.setattr(LocalBackend, "create", killed_at_the_second)
        with pytest.raises(Killed):
            disk.syncs().redeliver(2)
    consumer.read()
    # Sync 2 brought 9 again, and sync 3, which removed it, did not come.
    assert disk.syncs().state().redelivering == (3, 4)
    assert 9 in consumer.copy
    disk.set_rows(TODAY)
    disk.run(full=True)
    consumer.read()

    assert consumer.copy == TODAY
    assert disk.syncs().state().redelivering == ()


def test_elsewhere_gets_that_sync_alone_and_nothing_is_recorded(tmp_path: Path) -> None:
    disk, _, files = delivered_disk(tmp_path)
    text = (tmp_path / "defs/defs.yaml").read_text()
    (tmp_path / "defs/defs.yaml").write_text(text + "---\ntype: dinmo_pipeline.LocalFolder\nattributes: {name: other, path: other}\n")
    project = disk.project
    target = target_elsewhere(project, project.activations["export"], "other", asked_by="--to")
    before = list((disk.home / "state").rglob("*.json"))

    delivery = disk.syncs().redeliver_elsewhere(3, target)

    sent = {path.name: path.read_bytes() for path in (tmp_path / "other" / "out").iterdir()}
    third = sorted(name for name in files)[8:12]
    manifest = next(name for name in third if name.endswith(".manifest.json"))
    told = json.loads(sent.pop(manifest))
    assert sent == {name: files[name] for name in third if name != manifest}
    assert told == json.loads(files[manifest]) | {"base": None}, "nobody sent the base there"
    assert told["compared_with"] == 2
    assert {put.path for put in delivery.export.puts} == {f"out/{name}" for name in third}
    assert disk.files() == []
    assert list((disk.home / "state").rglob("*.json")) == before


def test_other_bytes_are_said_when_another_version_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, consumer, _ = delivered_disk(tmp_path)
    write = CsvFormat.write

    def write_otherwise(self: CsvFormat, *args: Any) -> Any:
        return write(self.model_copy(update={"quoting": "all"}), *args)

    monkeypatch.setattr(CsvFormat, "write", write_otherwise)
    (delivery,) = disk.syncs().redeliver(4)
    consumer.read()

    assert consumer.copy == DAYS[-1]
    notes = [note for note in delivery.outcome.notes if "has the same rows as recorded and other bytes" in note]
    assert len(notes) == 4, "three files and the manifest, which tells of other checksums now"


def refusal(syncs: SyncService, number: int) -> str:
    with pytest.raises(SyncRefused) as refused:
        syncs.redeliver(number)
    return str(refused.value)


def test_what_cannot_be_delivered_again_is_refused_with_words(tmp_path: Path) -> None:
    disk, _, _ = delivered_disk(tmp_path, OPTIONS + ", keep_syncs: 3")
    state = disk.syncs().state()
    lost = state.syncs[2].snapshot
    assert lost is not None
    (disk.home / "state" / lost.path).unlink()

    assert refusal(disk.syncs(), 9) == "delivering sync 9 of export again: there is no such sync; `dinmo history export` lists them"
    assert "delivering sync 2 of export again: the rows of sync 2 are not kept any more (keep_syncs: 3)" in refusal(disk.syncs(), 2)
    assert "delivering sync 1 of export again, which sync 2 has to follow: the rows of sync 2 are not kept" in refusal(disk.syncs(), 1)
    assert disk.syncs().state() == state
    disk.syncs().redeliver(4)
    disk.define(OPTIONS.replace("sync_mode: difference", "sync_mode: difference, folder: sub"))
    disk.run()
    assert "has delivered to another address since" in refusal(disk.syncs(), 4)
    disk.define("file_name: x, sync_mode: snapshot, mapping: [id]")
    (tmp_path / "defs/defs.yaml").write_text((tmp_path / "defs/defs.yaml").read_text().replace("full_then_delta", "full_only"))
    assert "full_only keeps no rows to deliver again" in refusal(disk.syncs(), 4)


def test_fixed_name_is_refused_but_for_the_newest(tmp_path: Path) -> None:
    disk = Disk(tmp_path, "file_name: fixed, sync_mode: upsert, mapping: {id: id, v: value}")
    for rows in DAYS[:2]:
        disk.set_rows(rows)
        disk.run()

    assert "1 newer ones have files of the same name, which would overwrite it" in refusal(disk.syncs(), 1)
    (path,) = disk.files()
    before = path.read_bytes()
    path.unlink()
    disk.syncs().redeliver(2)
    assert path.read_bytes() == before
