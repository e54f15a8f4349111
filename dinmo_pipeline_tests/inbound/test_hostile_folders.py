"""A sender who may change the folders of his inbox: links lead nobody out of it, and nothing that lies in `imports/` is written over."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import pytest

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.inbound.load.import_ledger import Outcome
from dinmo_pipeline.storages import intake
from dinmo_pipeline.storages.local import spec as local
from dinmo_pipeline.storages.temporary import is_temporary_name
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox

NAME = "contacts_shop_20220315.csv"
ROWS = "id,updated_at,age\n1,2022-03-15,31\n"
REJECTED = "id,updated_at,age\n1,2022-03-15,31\n2,2022-03-15,unknown\n"
IS_A_LINK = r"{name} is a symbolic link, and none is followed below .*: whoever writes there could lead it anywhere"


@pytest.mark.parametrize("name", ["raw", "init"])
def test_inbox_folder_that_is_a_link_to_another_tenants_is_refused(name: str, tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    others = tmp_path / "another tenant" / name
    others.mkdir(parents=True)
    (others / NAME).write_text(ROWS)
    (inbox.folder / name).rmdir()
    (inbox.folder / name).symlink_to(others)

    with pytest.raises(PermanentStorageError, match=IS_A_LINK.format(name=name)):
        inbox.run()
    assert (others / NAME).read_text() == ROWS
    assert inbox.files() == []


@pytest.mark.parametrize("link", ["imports", "imports/refused", "imports/2024-05-06"])
def test_folder_of_imports_that_is_a_link_is_not_written_to(link: str, tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    data = tmp_path / "project" / "data"
    data.mkdir(parents=True)
    (inbox.folder / link).parent.mkdir(exist_ok=True)
    (inbox.folder / link).symlink_to(data)
    inbox.drop(NAME, "not,the,header\n" if link.endswith("refused") else REJECTED)

    with pytest.raises(PermanentStorageError, match=IS_A_LINK.format(name=link.rpartition("/")[2])):
        inbox.run()
    assert list(data.rglob("*")) == []
    assert (inbox.folder / "raw" / NAME).exists()


def test_folder_that_becomes_a_link_while_its_file_is_taken_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop(NAME, ROWS)
    others = tmp_path / "another tenant"
    others.mkdir()
    (others / NAME).write_text(ROWS.replace("31", "99"))
    read = local.LocalFolder.read_listed

    def swap_and_read(self: local.LocalFolder, remote_path: str, local_path: Path, size: int) -> None:
        (inbox.folder / "raw").rename(inbox.folder / "away")
        (inbox.folder / "raw").symlink_to(others)
        read(self, remote_path, local_path, size)

    monkeypatch.setattr(local.LocalFolder, "read_listed", swap_and_read)
    with pytest.raises(PermanentStorageError, match=IS_A_LINK.format(name="raw")):
        inbox.run()
    assert (others / NAME).exists()


def test_file_of_an_exabyte_that_takes_no_room_keeps_no_other_out(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    with inbox.drop("contacts_shop_20220314.csv", ROWS).open("rb+") as stream:
        # As large as this file system lets a file be.
        size = next(size for size in (2**60, 2**50, 2**43) if _may_be_so_large(stream, size))
    inbox.drop(NAME, ROWS)

    assert [(record.name, record.outcome) for record in inbox.run()] == [(NAME, Outcome.LOADED)]
    [trouble] = inbox.open()
    assert f"it takes {size:,} bytes more, and this machine's disk has" in trouble.reason
    assert "lower free_disk_bytes" in trouble.reason


def _may_be_so_large(stream: IO[bytes], size: int) -> bool:
    try:
        stream.truncate(size)
    except OSError:
        return False
    return True


def test_file_that_grows_as_fast_as_it_is_read_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = LocalInbox(tmp_path)
    path = inbox.drop("contacts_shop_20220314.csv", ROWS)
    inbox.drop(NAME, ROWS)
    copied: list[int] = []
    count = intake.TransferCount.add

    def growing(self: intake.TransferCount, length: int) -> None:
        copied.append(length)
        assert len(copied) < 100, "it is read on and on"
        with path.open("ab") as stream:
            stream.write(b"x" * 2_000_000)
        count(self, length)

    monkeypatch.setattr(intake.TransferCount, "add", growing)
    assert [(record.name, record.outcome) for record in inbox.run()] == [(NAME, Outcome.LOADED)]


@pytest.mark.parametrize(("content", "ending"), [(REJECTED, ".rejects.csv"), ("not,the,header\n", ".reason.txt")])
def test_what_is_written_beside_a_file_is_written_over_nothing(content: str, ending: str, tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    folder = inbox.folder / ("imports/2024-05-06" if ending == ".rejects.csv" else "imports/refused")
    folder.mkdir(parents=True)
    (folder / f"{NAME}{ending}").write_text("of a file that somebody took away")
    inbox.drop(NAME, content)

    (record,) = inbox.run()
    assert (folder / f"{NAME}{ending}").read_text() == "of a file that somebody took away"
    assert record.target is not None
    assert Path(record.target).name == NAME.replace(".csv", "_2.csv")
    assert (inbox.folder / f"{record.target}{ending}").exists()


@pytest.mark.parametrize(("content", "ending"), [(REJECTED, ".rejects.csv"), ("not,the,header\n", ".reason.txt")])
def test_name_of_what_is_being_written_beside_a_file_is_known_to_nobody_before(
    content: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    put = local.LocalFolder.put

    def put_and_tell(self: local.LocalFolder, local_path: Path, remote_path: str, **options: Any) -> None:
        names.append(Path(remote_path).name)
        put(self, local_path, remote_path, **options)

    monkeypatch.setattr(local.LocalFolder, "put", put_and_tell)
    for name in ("one", "two"):
        inbox = LocalInbox(tmp_path / name)
        inbox.drop(NAME, content)
        inbox.run()
        assert any(path.endswith(ending) for path in inbox.files())
    assert len(set(names)) == 2
    assert all(map(is_temporary_name, names))


def test_temporary_file_that_a_killed_pass_left_goes_when_the_next_one_writes_there(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    folder = inbox.folder / "imports/2024-05-06"
    folder.mkdir(parents=True)
    (folder / ".dinmo-0123456789abcdef.part").write_text("half of the rejects")
    inbox.drop(NAME, REJECTED)
    (record,) = inbox.run()
    assert record.outcome == Outcome.LOADED
    assert sorted(path.name for path in folder.iterdir()) == [NAME, f"{NAME}.rejects.csv"]
