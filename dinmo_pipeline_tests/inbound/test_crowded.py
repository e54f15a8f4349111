"""An inbox in which very many files lie: what a look and a pass cost must not grow faster than their number."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.inbound import taking
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.inbound.inbox import file_names as names
from dinmo_pipeline.inbound.load.import_ledger import Outcome
from dinmo_pipeline.storages.base import RemoteFile
from dinmo_pipeline.storages.local import spec as local
from dinmo_pipeline.storages.local.spec import LocalFolder
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox, contacts
from dinmo_pipeline_tests.sync.disk import forking
from dinmo_pipeline_tests.waiting import wait_for_end

ROW = "id,age,updated_at,note\n1,30,2024-05-01,a file that is longer than what is looked at for its delimiter\n"


def crowd(root: Path, files: int, **options: object) -> LocalInbox:
    """An inbox with so many files, all of one feed and one day, none like another."""
    inbox = LocalInbox(root, (contacts(load="append"),), options)
    for number in range(files):
        inbox.drop(f"contacts_shop_20240501_{number:03}.csv", ROW.replace("1,30", f"{number},30"))
    return inbox


def test_folder_is_listed_no_more_often_for_more_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: Counter[int] = Counter()
    files = 0

    def counting(storage: LocalFolder, folder: str) -> Sequence[RemoteFile]:
        listed[files] += folder == "raw"
        return whole(storage, folder)

    whole = LocalFolder.list
    monkeypatch.setattr(LocalFolder, "list", counting)
    monkeypatch.setattr(taking, "_BATCH_FILES", 2)
    monkeypatch.setattr(taking, "_MOST_BATCHES", 5)

    for files in (20, 60):
        assert len(crowd(tmp_path / str(files), files).run()) == files

    assert listed == {20: 6, 60: 6}


def test_batch_of_more_files_than_may_be_open_is_taken(tmp_path: Path) -> None:
    # A process of its own: servers of other tests in this one would meet the limit, too.
    taking = forking().Process(target=take_with_few_open_files, args=(tmp_path,))
    taking.start()
    wait_for_end(taking)
    assert taking.exitcode == 0


def take_with_few_open_files(root: Path) -> None:
    inbox = crowd(root, 120)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_before + 60, most))
    taken = inbox.run()
    assert {record.outcome for record in taken} == {Outcome.LOADED}
    assert len(taken) == 120


def test_look_that_finds_nothing_new_writes_nothing(tmp_path: Path) -> None:
    inbox = crowd(tmp_path, 3, after_import="leave")
    inbox.drop("kontacts_shop_20240501.csv", ROW)
    taken = [len(inbox.run()) for _ in range(2)]
    scan_state = inbox.project.home / "inbound" / "partner" / "looks.json"
    before = scan_state.stat().st_ino, scan_state.stat().st_mtime_ns

    assert (taken, inbox.run()) == ([3, 0], [])
    assert (scan_state.stat().st_ino, scan_state.stat().st_mtime_ns) == before
    inbox.drop("contacts_shop_20240502.csv", ROW)
    assert len(inbox.run()) == 1
    assert (scan_state.stat().st_ino, scan_state.stat().st_mtime_ns) != before


def test_of_very_many_strangers_the_first_are_named_and_the_others_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hints: list[str] = []

    def hinting(found: str, _: object) -> str:
        hints.append(found)
        return ""

    monkeypatch.setattr(names, "nearest_hint", hinting)
    inbox = LocalInbox(tmp_path)
    for number in range(103):
        inbox.drop(f"picture_{number:03}.csv", "")

    with InboxPass(inbox.project, "partner") as held:
        first, second = (list(held.look().told_strangers()) for _ in range(2))

    assert len({line.partition(" ")[0] for line in first[:-1]}) == len(hints) == 100
    assert first[-1] == "3 more files stay where they are, and are of no feed, either"
    assert second == []


def test_folder_with_too_many_files_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.dinmo.limits]\nlisting_entries = 4\n")
    inbox = crowd(tmp_path, 4)
    assert len(inbox.run()) == 4
    inbox = crowd(tmp_path, 5)

    with pytest.raises(PermanentStorageError) as refused:
        inbox.run()

    assert str(refused.value) == (
        f"could not list the folder {inbox.folder / 'raw'} (storage drop): more than 4 entries lie there; move most of them to another "
        "folder, and back a part at a time, or raise listing_entries in [tool.dinmo.limits] of pyproject.toml"
    )


def test_file_that_goes_while_its_folder_is_listed_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = crowd(tmp_path, 3)
    known = local._remote_file

    def taking_one_away(name: str, *arguments: object, **options: object) -> RemoteFile | None:
        for path in (inbox.folder / "raw").iterdir():
            if path.name != name:
                path.unlink()
                break
        monkeypatch.setattr(local, "_remote_file", known)
        return known(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(local, "_remote_file", taking_one_away)

    with InboxPass(inbox.project, "partner") as held:
        assert len(held.look().due) == 2
