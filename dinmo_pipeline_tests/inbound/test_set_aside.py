"""A file that fails is set aside, told and tried again; all others of its pass are loaded."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dinmo_pipeline.engines.duckdb.connection import open_warehouse
from dinmo_pipeline.errors import CallError, PermanentStorageError, StateError, StorageError, TransientStorageError
from dinmo_pipeline.formats.reader import Reading
from dinmo_pipeline.inbound import taking
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.inbound.load.batch import Fetched, load_batch
from dinmo_pipeline.inbound.troubles.troubles import troubles_path
from dinmo_pipeline.intake_limits import IntakeLimits
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.storages.local.spec import LocalFolder, LocalFolderSpec

from .inboxes import LocalInbox, contacts

HEADER = "id,age,updated_at\n"


def named(day: int) -> str:
    return f"contacts_shop_202405{day:02}.csv"


def filled(root: Path, days: Sequence[int] = (1, 2, 3, 4, 5), **options: Any) -> LocalInbox:
    inbox = LocalInbox(root, (contacts(load="append"),), options)
    for day in days:
        inbox.drop(named(day), HEADER + f"{day},30,2024-05-{day:02}\n")
    return inbox


def ids(inbox: LocalInbox) -> list[int]:
    return [int(id) for (id,) in inbox.rows("SELECT id FROM feeds.contacts_shop ORDER BY 1")]


def failing(monkeypatch: pytest.MonkeyPatch, method: str, name: str, error: StorageError) -> None:
    """Have a storage fail for one file, as a server does that forbids it."""
    real = getattr(LocalFolder, method)

    def forbidding(storage: LocalFolder, path: str, *rest: Any, **named: Any) -> Any:
        if name in path:
            raise error
        return real(storage, path, *rest, **named)

    monkeypatch.setattr(LocalFolder, method, forbidding)


def states(inbox: LocalInbox) -> list[tuple[str | None, str]]:
    return [(trouble.file, trouble.kind) for trouble in inbox.open()]


@pytest.mark.parametrize("error", [PermanentStorageError("no right"), TransientStorageError("broken off")])
def test_file_that_cannot_be_read_keeps_no_other_out_and_is_loaded_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: StorageError
) -> None:
    inbox = filled(tmp_path)
    with monkeypatch.context() as broken:
        failing(broken, "read_listed", named(3), error)
        assert len(inbox.run()) == 4
        [trouble] = inbox.open()
        inbox.run()
        assert [(each.key, each.since) for each in inbox.open()] == [(trouble.key, trouble.since)]

    assert ids(inbox) == [1, 2, 4, 5]
    assert (trouble.feed, trouble.file, trouble.kind, trouble.reason) == ("contacts_shop", f"raw/{named(3)}", "set aside", str(error))
    assert len(inbox.run()) == 1
    assert (ids(inbox), inbox.open()) == ([1, 2, 3, 4, 5], ())


def test_file_that_can_neither_be_read_nor_looked_at_is_set_aside_for_what_reading_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = filled(tmp_path)
    failing(monkeypatch, "read_listed", named(3), PermanentStorageError("no right to read"))
    failing(monkeypatch, "stat", named(3), PermanentStorageError("no right to look"))

    inbox.run()

    assert ids(inbox) == [1, 2, 4, 5]
    assert [trouble.reason for trouble in inbox.open()] == ["no right to read"]


def test_file_that_is_listed_and_not_there_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = filled(tmp_path)
    failing(monkeypatch, "read_listed", named(3), PermanentStorageError("no such file"))
    real = LocalFolder.stat
    monkeypatch.setattr(LocalFolder, "stat", lambda storage, path: None if named(3) in path else real(storage, path))

    inbox.run()

    [trouble] = inbox.open()
    assert "the listing shows it with 34 bytes before and after, and there is no such file when it is read" in trouble.reason


def test_storage_that_goes_away_ends_the_pass_and_sets_no_file_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = filled(tmp_path)
    away = PermanentStorageError("the server is gone")

    with monkeypatch.context() as broken, InboxPass(inbox.project, "partner") as held:
        due = held.look().due
        failing(broken, "read_listed", "raw", away)
        failing(broken, "list", "raw", away)
        with pytest.raises(PermanentStorageError, match="the server is gone"):
            list(held.take(due))

    assert states(inbox) == [(None, "failed")]
    inbox.run()
    assert (ids(inbox), inbox.open()) == ([1, 2, 3, 4, 5], ())


def choking(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    """Have the reader of one file fail in a way that nobody foresaw."""
    real = taking.open_feed_file

    def opening(feed: FeedSpec, local_path: Path, known: Collection[str] = (), **options: IntakeLimits) -> Reading:
        if local_path.name == name:
            raise error
        return real(feed, local_path, known, **options)

    monkeypatch.setattr(taking, "open_feed_file", opening)


@pytest.mark.parametrize("error", [MemoryError(), ValueError("what"), RecursionError("deep"), duckdb.OutOfMemoryException("too wide")])
@pytest.mark.parametrize("load", ["append", "merge", "replace"])
def test_file_that_breaks_its_batch_is_found_and_set_aside_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, load: str
) -> None:
    inbox = filled(tmp_path)
    inbox = LocalInbox(tmp_path, (contacts(load=load),))
    with monkeypatch.context() as broken:
        choking(broken, named(4), error)
        inbox.run()
        assert states(inbox) == [(f"raw/{named(4)}", "set aside")]
        assert ids(inbox) == ([5] if load == "replace" else [1, 2, 3, 5])

    inbox.run()

    assert ids(inbox) == ([5] if load == "replace" else [1, 2, 3, 4, 5])
    assert inbox.open() == ()


def test_batch_is_divided_in_few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = filled(tmp_path, range(1, 29))
    choking(monkeypatch, named(20), ValueError("what"))
    loads: list[int] = []

    def counting(project: Any, feed: FeedSpec, files: Sequence[Fetched], **rest: Any) -> Any:
        loads.append(len(files))
        return load_batch(project, feed, files, **rest)

    monkeypatch.setattr(taking, "load_batch", counting)
    inbox.run()

    assert len(loads) <= 2 * 5 + 1
    assert len(ids(inbox)) == 27


def test_full_disk_of_the_warehouse_is_no_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = filled(tmp_path)

    def full(*_: Any, **__: Any) -> Any:
        raise StateError("loading") from duckdb.IOException("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(taking, "load_batch", full)
        with pytest.raises(StateError):
            inbox.run()

    assert states(inbox) == [(None, "failed")]
    inbox.run()
    assert (ids(inbox), inbox.open()) == ([1, 2, 3, 4, 5], ())


def test_file_that_cannot_be_moved_is_loaded_once_and_moved_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = filled(tmp_path)
    with monkeypatch.context() as broken:
        failing(broken, "move", named(3), PermanentStorageError("no right to move"))
        assert len(inbox.run()) == 5
        assert "its rows are loaded, and it could not be brought to imports/2024-05-06/" in inbox.open()[0].reason
        inbox.drop(named(6), HEADER + "6,30,2024-05-06\n")
        assert [record.name for record in inbox.run()] == [named(6)]

    assert inbox.run() == []
    assert (ids(inbox), inbox.open()) == ([1, 2, 3, 4, 5, 6], ())
    assert not any(path.startswith("raw/") for path in inbox.files())


def test_file_that_waits_to_be_moved_is_not_overwritten_by_another_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = filled(tmp_path, ())
    inbox.drop(named(3), HEADER + "1,1,2024-05-03\n", folder="init")
    with monkeypatch.context() as broken:
        failing(broken, "move", f"init/{named(3)}", PermanentStorageError("no right to move"))
        inbox.run()
        inbox.drop(named(3), HEADER + "2,2,2024-05-03\n")
        inbox.run()
    inbox.run()

    assert inbox.files() == [f"imports/2024-05-06/{named(3)}", "imports/2024-05-06/contacts_shop_20240503_2.csv"]
    assert sorted((inbox.folder / path).read_text()[-15:-13] for path in inbox.files()) == ["1,", "2,"]


def test_warehouse_is_free_while_the_storage_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = filled(tmp_path)
    asked: list[str] = []

    def checking(method: str) -> Callable[..., Any]:
        real = getattr(LocalFolder, method)

        def asking(storage: LocalFolder, *arguments: Any, **named: Any) -> Any:
            asked.append(method)
            # Whoever else delivers has the warehouse at once, however long the storage takes.
            with monkeypatch.context() as hurried:
                hurried.setattr("dinmo_pipeline.engines.duckdb.connection._WAIT_S", 0.0)
                with open_warehouse(inbox.project.warehouse_path, inbox.project.query_settings):
                    pass
            return real(storage, *arguments, **named)

        return asking

    for method in ("list", "stat", "read_listed", "put", "move", "matches", "make_folder"):
        monkeypatch.setattr(LocalFolder, method, checking(method))
    inbox.drop(named(7), HEADER + '7,"30,2024-05-07\n')
    inbox.run()

    assert {"list", "read_listed", "move", "put"} <= set(asked)
    assert ids(inbox) == [1, 2, 3, 4, 5]


def test_refused_file_is_open_until_its_name_is_loaded(tmp_path: Path) -> None:
    inbox = filled(tmp_path)
    inbox.drop(named(6), HEADER + '6,"30,2024-05-06\n')
    inbox.run()
    inbox.drop(named(7), HEADER + "7,30,2024-05-07\n")
    inbox.run()
    assert states(inbox) == [(f"raw/{named(6)}", "refused")]

    inbox.drop(named(6), HEADER + "6,30,2024-05-06\n")
    inbox.run()

    assert inbox.open() == ()


def test_refused_file_that_nobody_corrects_is_dismissed_by_somebody(tmp_path: Path) -> None:
    inbox = filled(tmp_path)
    feed = inbox.project.feeds["contacts_shop"]
    for day in (6, 7):
        inbox.drop(named(day), HEADER + f'{day},"30,2024-05-06\n')
    inbox.run()

    with InboxPass(inbox.project, "partner") as held:
        assert held.dismiss(feed, named(6), by="ana") == [named(6)]
        assert states(inbox) == [(f"raw/{named(7)}", "refused")]
        with pytest.raises(CallError, match=rf"'{named(7)}' do"):
            held.dismiss(feed, named(6), by="ana")
        held.dismiss(feed, by="ana")
        with pytest.raises(CallError, match="no file of feed contacts_shop waits to be dismissed"):
            held.dismiss(feed, by="ana")

    inbox.run()
    assert inbox.open() == ()
    assert inbox.rows("SELECT file, kind, decided_by FROM inbound.events ORDER BY file") == [
        (f"raw/{named(day)}", "dismissed", "ana") for day in (6, 7)
    ]


def test_rejected_records_are_told_above_the_limit_until_a_better_file_came(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(warn_rejected=1),))
    inbox.drop(named(1), HEADER + "1,old,2024-05-01\n2,3,2024-05-01\n")
    inbox.run()
    assert inbox.open() == ()
    inbox.clock += timedelta(days=1)
    inbox.drop(named(2), HEADER + "1,old,2024-05-01\n2,older,2024-05-01\n3,3,2024-05-01\n")
    inbox.drop(named(3), HEADER + "4,4,2024-05-01\n")
    inbox.run()

    [trouble] = inbox.open()
    assert (trouble.kind, trouble.reason.partition(", the first")[0], trouble.is_severe) == (
        "rejected",
        f"{named(2)}: 2 of 3 records rejected",
        False,
    )
    inbox.clock += timedelta(days=1)
    inbox.drop(named(4), HEADER + "5,5,2024-05-01\n")
    inbox.run()
    assert inbox.open() == ()


def test_stranger_is_open_until_it_is_gone(tmp_path: Path) -> None:
    inbox = filled(tmp_path, (1,))
    stranger = inbox.drop("kontacts_shop_20240501.csv", "")
    inbox.run()
    assert states(inbox) == [("raw/kontacts_shop_20240501.csv", "unmatched")]

    stranger.unlink()
    inbox.run()

    assert inbox.open() == ()


def test_file_that_was_set_aside_and_taken_away_is_closed_and_kept_in_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = filled(tmp_path)
    failing(monkeypatch, "read_listed", named(3), PermanentStorageError("no right"))
    inbox.run()
    (inbox.folder / "raw" / named(3)).unlink()

    inbox.run()

    assert inbox.open() == ()
    assert inbox.rows("SELECT kind, reason FROM inbound.events ORDER BY happened_at, kind DESC") == [
        ("set aside", "no right"),
        ("gone", "no right"),
    ]


def test_file_is_asked_for_again_after_growing_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = filled(tmp_path, (3,))
    failing(monkeypatch, "read_listed", named(3), PermanentStorageError("no right"))
    pauses = []
    for _ in range(9):
        inbox.run()
        with InboxPass(inbox.project, "partner") as held:
            [aside] = held.look().set_aside
        pauses.append((aside.next_try - inbox.clock) // timedelta(minutes=1))
        inbox.clock += timedelta(hours=2)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize("length", [250, 255])
def test_longest_names_are_read_moved_and_told_of(tmp_path: Path, length: int) -> None:
    inbox = LocalInbox(tmp_path)
    long = "contacts_shop_20240501_" + "ä" * ((length - 27) // 2) + ".csv"
    for folder, age in (("init", "1"), ("raw", "x")):
        inbox.drop(long, HEADER + f"1,{age},2024-05-01\n2,2,2024-05-01\n", folder=folder)
    refused = long.replace("0501", "0502")
    inbox.drop(refused, HEADER + '1,"1,2024-05-01\n')

    assert [record.outcome for record in inbox.run()] == ["loaded", "loaded", "refused"]

    assert not any(path.startswith(("raw/", "init/")) for path in inbox.files())
    assert len(inbox.files()) == 5
    assert {trouble.kind for trouble in inbox.open()} == {"refused", "rejected"}
    assert all(len(os.fsencode(Path(path).name)) <= 255 for path in inbox.files())


def test_state_of_an_earlier_version_shows_what_it_holds(tmp_path: Path) -> None:
    inbox = filled(tmp_path)
    inbox.drop(named(6), HEADER + '6,"30,2024-05-06\n')
    inbox.run()
    # As it was before troubles and events were kept.
    troubles_path(inbox.project, "partner").unlink()
    with duckdb.connect(str(inbox.project.warehouse_path)) as warehouse:
        warehouse.execute("DROP TABLE inbound.events")
    scan_state = inbox.project.home / "inbound" / "partner" / "looks.json"
    scan_state.write_text('{"standing": {}, "taken": {}, "told": [], "told_with": [], "taking": false}')

    assert states(inbox) == [(f"raw/{named(6)}", "refused")]
    with InboxPass(inbox.project, "partner", hasty=True) as held:
        assert held.look().cut_off
    inbox.run()
    assert troubles_path(inbox.project, "partner").exists()
    assert states(inbox) == [(f"raw/{named(6)}", "refused")]


def test_archive_that_is_damaged_is_refused_beside_the_others(tmp_path: Path) -> None:
    inbox = filled(tmp_path)
    inbox.drop("contacts_shop_20240509.csv.gz", gzip.compress(b"id,age\n" * 9)[:-9])

    inbox.run()

    assert ids(inbox) == [1, 2, 3, 4, 5]
    assert states(inbox) == [("raw/contacts_shop_20240509.csv.gz", "refused")]


def test_put_of_rejects_that_is_tried_again_leaves_nothing_of_the_first_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.project = replace(inbox.project, storages={"drop": LocalFolderSpec(name="drop", path=str(inbox.folder), retries=2)})
    inbox.drop(named(1), HEADER + "1,thirty,2024-05-01\n2,30,2024-05-01\n")
    real = LocalFolder.move
    broken: list[str] = []

    def breaking_once(storage: LocalFolder, source: str, target: str) -> None:
        if target.endswith(".rejects.csv") and not broken:
            broken.append(target)
            raise TransientStorageError("broken off")
        real(storage, source, target)

    monkeypatch.setattr(LocalFolder, "move", breaking_once)
    inbox.run()
    assert broken
    assert [path for path in inbox.files() if path.endswith(".part")] == []
    assert [path for path in inbox.files() if path.endswith(".rejects.csv")] != []
