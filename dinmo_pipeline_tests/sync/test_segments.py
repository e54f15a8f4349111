"""A log over many syncs: what is read of it does not grow, what it says does not change, and what is missing is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dinmo_pipeline.errors import OutdatedStateError, StateError
from dinmo_pipeline.sync.backends.local import LocalBackend
from dinmo_pipeline.sync.ledger import segments as chapters
from dinmo_pipeline.sync.ledger.ledger import StoredEntry
from dinmo_pipeline.sync.service import Delivery
from dinmo_pipeline_tests.sync.disk import DIFFERENCE, Disk

SYNCS = 12


@pytest.fixture(scope="module")
def twelve_syncs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after twelve syncs of five entries each, in chapters of ten."""
    disk = Disk(tmp_path_factory.mktemp("syncs") / "project", f"{DIFFERENCE}, keep_syncs: 2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chapters, "CHAPTER", 10)
        for number in range(SYNCS):
            disk.set_rows({1: "a", 2: f"b{number}"})
            assert isinstance(disk.run(), Delivery)
    return disk.root


@pytest.fixture
def disk(twelve_syncs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(chapters, "CHAPTER", 10)
    return Disk(shutil.copytree(twelve_syncs, tmp_path / "project"), f"{DIFFERENCE}, keep_syncs: 2", runs=SYNCS)


def log(disk: Disk) -> Path:
    return disk.home / "state/activations/export"


def test_sync_reads_the_newest_chapter_alone(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    read = LocalBackend.read
    paths: set[str] = set()

    def noted(self: LocalBackend, activation: str, folder: str, *, newest: int | None = None) -> list[StoredEntry]:
        pages = list(read(self, activation, folder, newest=newest))
        paths.update(page.path for page in pages)
        return pages

    monkeypatch.setattr(LocalBackend, "read", noted)
    disk.run()

    positions = sorted(map(chapters.position_of, paths))
    entries = len([*log(disk).rglob("*.json")])
    assert positions[0] % 10 == 0
    assert entries > 60
    assert positions[0] >= entries - 20


def test_state_knows_the_kept_syncs_and_history_knows_all(disk: Disk) -> None:
    syncs = disk.syncs()
    assert [sync.number for sync in syncs.whole_history().delivered] == list(range(1, SYNCS + 1))
    assert min(sync.number for sync in syncs.state().delivered) > SYNCS - 6
    assert syncs.state().next_number == SYNCS + 1


def test_name_of_a_forgotten_sync_is_still_taken(disk: Disk) -> None:
    first = disk.syncs().whole_history().delivered[0]
    assert first.export is not None
    assert first.number not in disk.syncs().state().syncs
    address = first.export.contract.address
    assert {put.series for put in first.export.puts} <= disk.syncs().state().delivered_series(address)
    assert {put.path for put in first.export.puts} <= set(disk.syncs().state().shown_paths(address))


def snapshots(disk: Disk) -> set[str]:
    return {f"activations/export/snapshots/{path.name}" for path in (log(disk) / "snapshots").iterdir()}


@pytest.mark.parametrize("more", range(2))
def test_rows_that_kept_syncs_were_compared_with_outlive_the_chapter(disk: Disk, more: int) -> None:
    for _ in range(more):
        disk.run()
    kept = disk.syncs().state().kept(2)
    # None of them is taken for what a crash left.
    assert {litter.why for litter in disk.syncs().clean(dry_run=False)} <= {"no sync needs it any more (keep_syncs: 2)"}
    assert {file.path for sync in kept for snapshot in sync.snapshots for file in snapshot.files} == snapshots(disk)
    assert [delivery.export.number for delivery in disk.syncs().redeliver(kept[0].number)] == [sync.number for sync in kept]


@pytest.mark.parametrize("entries", [0, 3])
def test_sync_beyond_those_that_are_kept_is_delivered_again_over_the_end_of_a_chapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    disk = Disk(tmp_path, f"{DIFFERENCE}, keep_syncs: 1")
    for value in "abc":
        disk.set_rows({1: value})
        disk.run()
    monkeypatch.setattr(chapters, "CHAPTER", 16 + entries)
    # Its rows go when the next sync begins.
    assert [delivery.export.number for delivery in disk.syncs().redeliver(2)] == [2, 3]
    assert disk.syncs().state().newest == disk.syncs().whole_history().syncs[3]


def test_sync_that_failed_long_ago_is_delivered_over_the_end_of_a_chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path, f"{DIFFERENCE}, keep_syncs: 1")
    disk.set_rows({1: "a"})
    for label in ("monday", "tuesday"):
        disk.refresh()
        disk.syncs().take_snapshot(label, now=disk.tick())
    monkeypatch.setattr(chapters, "CHAPTER", 5)
    assert disk.syncs().deliver("monday", now=disk.tick()).export.number == 1
    assert [sync.number for sync in disk.syncs().state().delivered] == [1]


def test_log_without_chapters_goes_on_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path)
    disk.set_rows({1: "a"})
    for _ in range(5):
        disk.run()
    assert not (log(disk) / "checkpoints").exists()
    monkeypatch.setattr(chapters, "CHAPTER", 10)
    for number in range(5):
        disk.set_rows({1: "a", 2: f"b{number}"})
        disk.run()
    disk.consume()

    assert [path.name for path in sorted((log(disk) / "checkpoints").iterdir())] == ["00000030.json", "00000040.json", "00000050.json"]
    assert [sync.number for sync in disk.syncs().whole_history().delivered] == list(range(1, 11))
    assert [row["value"] for row in disk.copy.values()] == ["'a'", "'b4'"]


def test_missing_entry_of_the_newest_chapter_is_a_state_error(disk: Disk) -> None:
    chapter = max((log(disk) / "log").iterdir())
    sorted(chapter.iterdir())[0].unlink()
    with pytest.raises(StateError, match=r"entry \d+ is missing before .*, so nobody knows what was delivered"):
        disk.run()


def test_missing_entry_of_an_old_chapter_is_missed_by_history_alone(disk: Disk) -> None:
    (log(disk) / "log/00000002.json").unlink()
    assert isinstance(disk.run(), Delivery)
    with pytest.raises(StateError, match="entry 2 is missing"):
        disk.syncs().whole_history()


@pytest.mark.parametrize("lost", ["newest entry", "newest checkpoint"])
def test_lost_end_of_the_log_is_noticed(disk: Disk, lost: str) -> None:
    newest = max(path for path in (log(disk) / "log").rglob("*.json") if path.parent.name != "log")
    gone = newest if lost == "newest entry" else max((log(disk) / "checkpoints").iterdir())
    gone.unlink()
    with pytest.raises(OutdatedStateError, match="was restored from an older backup, or something of it was deleted"):
        disk.run()


def test_damaged_checkpoint_is_a_state_error(disk: Disk) -> None:
    checkpoint = max((log(disk) / "checkpoints").iterdir())
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(StateError, match=r"reading the log entry .*checkpoints.*It was cut off, edited"):
        disk.run()
