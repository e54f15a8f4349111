"""`dinmo clean`: what nobody needs goes, what a later sync needs stays, and what is not ours is never touched."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from dinmo_pipeline.engines.duckdb.differences.diff import Changes
from dinmo_pipeline.errors import BusyError, PermanentStorageError
from dinmo_pipeline.formats.base import Format, Rows, Written
from dinmo_pipeline.storages.local.spec import LocalFolderSpec
from dinmo_pipeline.storages.publish import Publisher
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.retention import clean_abandoned_scratch
from dinmo_pipeline.sync.service import Delivery, SyncService

from ..waiting import wait_until
from .disk import Disk

OPTIONS = 'file_name: "{x}_e", sync_mode: difference, mapping: {id: id, v: value}, keep_syncs: 1'


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Six deliveries; each second snapshot is a patch of the one before."""
    made = Disk(tmp_path, OPTIONS)
    for value in "abcdef":
        made.set_rows({1: value, 2: "x"})
        made.run()
    return made


def snapshots(disk: Disk) -> list[int]:
    """The numbers of the syncs whose rows are there."""
    return sorted(int(path.name[:6]) for path in (disk.home / "state" / "activations" / "export" / "snapshots").iterdir())


def test_snapshots_beyond_retention_and_of_crashes_go(disk: Disk) -> None:
    folder = disk.home / "state" / "activations" / "export" / "snapshots"
    (folder / "000007-0badc0de.parquet").write_bytes(b"a crash came before its entry")
    before = snapshots(disk)
    told = disk.syncs().clean(dry_run=True)
    unchanged = snapshots(disk)
    done = disk.syncs().clean(dry_run=False)

    assert (before, unchanged) == ([3, 4, 5, 6, 7], [3, 4, 5, 6, 7])
    assert told == done
    assert [(each.what, Path(each.where).name[:6], each.why) for each in done] == [
        ("snapshot", "000003", "no sync needs it any more (keep_syncs: 1)"),
        ("snapshot", "000004", "no sync needs it any more (keep_syncs: 1)"),
        ("snapshot", "000007", "a sync that crashed left it"),
    ]
    # The base, and what the last delivery was compared with.
    assert snapshots(disk) == [5, 6]
    assert disk.syncs().clean(dry_run=False) == ()


def test_rows_of_an_activation_that_had_the_name_before_stay(disk: Disk) -> None:
    definitions = disk.root / "defs/defs.yaml"
    text = definitions.read_text()
    renamed = text.replace("name: export", "name: renamed, renamed_from: export")
    definitions.write_text(renamed)

    def run_renamed() -> Delivery:
        disk.refresh()
        syncs, now = SyncService(disk.project, disk.project.activations["renamed"]), disk.tick()
        syncs.take_snapshot(label_of_instant(now), now=now)
        return syncs.deliver(label_of_instant(now), now=now)

    assert run_renamed().export.base == 6
    # Now that the new name has a log of its own, the old one is somebody else's.
    definitions.write_text(renamed.replace(", renamed_from: export", "") + "---" + text.rpartition("---")[2].replace('"{x}_e"', '"{x}_o"'))
    assert {each.why for each in disk.syncs().clean(dry_run=False)} <= {"no sync needs it any more (keep_syncs: 1)"}
    disk.set_rows({1: "f", 2: "y"})
    assert run_renamed().export.counts.updated == 1


def run_killed_at(disk: Disk, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A sync whose process ends when it comes to this step of the publisher."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Publisher, step, end)
        with pytest.raises(KeyboardInterrupt):
            disk.run()


def test_temporary_files_of_a_sync_that_failed_go(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.set_rows({1: "d"})
    foreign = disk.out / ".dinmo-of-somebody-else.part"
    foreign.write_text("not in the log")
    run_killed_at(disk, monkeypatch, "tidy")
    left = [path for path in disk.files() if path.name.startswith(".dinmo-") and path != foreign]
    done = disk.syncs().clean(dry_run=False)

    assert len(left) == 3
    assert sorted(each.where for each in done if each.what == "temporary file") == sorted(f"out: {path.name}" for path in left)
    assert [path for path in disk.files() if path.name.startswith(".dinmo-")] == [foreign]


def test_temporary_files_of_a_sync_that_failed_while_it_was_rendered_go(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.define(f"{disk.options}, max_rows: 1")
    disk.set_rows({1: "d", 2: "e", 3: "f"})
    write = Changes.write

    def end_once_a_part_has_left(changes: Changes, format_: Format, rows: Rows, local_path: Path) -> Written:
        if local_path.name == "1":
            wait_until(lambda: bool(list(disk.out.glob(".dinmo-*"))), "the part that has left")
            raise KeyboardInterrupt
        return write(changes, format_, rows, local_path)

    with monkeypatch.context() as patched:
        patched.setattr(Changes, "write", end_once_a_part_has_left)
        with pytest.raises(KeyboardInterrupt):
            disk.run()
    left = list(disk.out.glob(".dinmo-*"))
    done = disk.syncs().clean(dry_run=False)

    assert left
    assert sorted(each.where for each in done if each.what == "temporary file") == sorted(f"out: {path.name}" for path in left)
    assert disk.left_behind() == []


def test_half_delivered_sync_keeps_all_that_it_needs(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.set_rows({1: "d"})
    run_killed_at(disk, monkeypatch, "show")
    before = disk.files()
    disk.syncs().clean(dry_run=False)

    assert disk.files() == before
    assert snapshots(disk) == [5, 6, 7]
    disk.run()
    assert disk.left_behind() == []


def test_destination_that_refuses_is_told_and_the_rest_is_cleaned(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.set_rows({1: "d"})
    run_killed_at(disk, monkeypatch, "tidy")

    def refuse(*_: object, **__: object) -> None:
        raise PermanentStorageError("permission denied")

    monkeypatch.setattr(Publisher, "remove", refuse)
    done = disk.syncs().clean(dry_run=False)

    assert {each.problem for each in done if each.what == "temporary file"} == {
        "a temporary file is left at the destination: permission denied"
    }


def test_destination_that_is_away_is_told_once_and_the_rest_is_cleaned(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in "gh":
        disk.set_rows({1: value})
        run_killed_at(disk, monkeypatch, "tidy")

    def refuse(*_: object, **__: object) -> None:
        raise PermanentStorageError("login refused")

    monkeypatch.setattr(LocalFolderSpec, "connect", refuse)
    done = disk.syncs().clean(dry_run=False)
    assert [(each.what, each.where, each.problem) for each in done if each.problem] == [("temporary files", "out", "login refused")]
    assert {each.what for each in done} == {"snapshot", "temporary files"}


def test_sync_at_work_is_left_alone(disk: Disk) -> None:
    with disk.syncs()._log.locked(), pytest.raises(BusyError):
        disk.syncs().clean(dry_run=False)


def test_working_folders_of_nobody_go_after_a_day(disk: Disk) -> None:
    old, new = disk.home / "staging" / ".look-old", disk.home / "staging" / ".look-new"
    own = disk.home / "staging" / "export"
    for folder in (old, new, own):
        folder.mkdir(parents=True)
    os.utime(old, (time.time() - 25 * 3600,) * 2)

    assert [each.where for each in clean_abandoned_scratch(disk.project, dry_run=False)] == [str(old)]
    assert [each.what for each in disk.syncs().clean(dry_run=False) if each.where == str(own)] == ["working folder"]
    assert (old.exists(), new.exists(), own.exists()) == (False, True, False)


def test_links_and_files_in_the_place_of_working_folders_go_alone(disk: Disk, tmp_path: Path) -> None:
    staging, kept = disk.home / "staging", tmp_path / "kept"
    staging.mkdir(exist_ok=True)
    kept.mkdir()
    (kept / "rows").write_text("not ours")
    dangling, link, file, own = staging / ".look-dangling", staging / ".look-link", staging / "file", staging / "export"
    dangling.symlink_to(tmp_path / "nowhere")
    link.symlink_to(kept)
    file.write_text("planted")
    own.symlink_to(tmp_path / "nowhere")
    for path in (dangling, link, file):
        os.utime(path, (time.time() - 25 * 3600,) * 2, follow_symlinks=False)

    told = [each.where for each in clean_abandoned_scratch(disk.project, dry_run=True)]
    assert [each.where for each in clean_abandoned_scratch(disk.project, dry_run=False)] == told == [str(dangling), str(link), str(file)]
    assert [each.where for each in disk.syncs().clean(dry_run=False) if each.what == "working folder"] == [str(own)]
    assert list(staging.iterdir()) == []
    assert (kept / "rows").read_text() == "not ours"


def test_working_folder_that_another_process_removes_meanwhile_is_no_failure(disk: Disk) -> None:
    first, second = disk.home / "staging" / ".look-1", disk.home / "staging" / ".look-2"
    for folder in (first, second):
        (folder / "spilled").mkdir(parents=True)
        os.utime(folder, (time.time() - 25 * 3600,) * 2)
    cleaning = clean_abandoned_scratch(disk.project, dry_run=False)
    assert next(cleaning).where == str(first)
    shutil.rmtree(second)
    assert list(cleaning) == []
