"""What lies in an inbox and is no file of ours to take: links, pipes, names that lead elsewhere or forge what is printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.storages.base import Listing, RemoteFile
from dinmo_pipeline.storages.local.spec import LocalFolder
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox
from dinmo_pipeline_tests.servers.fixtures import openssh_server
from dinmo_pipeline_tests.servers.openssh import OpenSsh
from dinmo_pipeline_tests.storages.definitions import sftp_spec

__all__ = ["openssh_server"]

NAME = "contacts_shop_20220315.csv"
ROWS = "id,updated_at,age\n1,2022-03-15,31\n"


def strangers(inbox: LocalInbox) -> dict[str, str]:
    """What a look finds and takes nothing of, with why."""
    with InboxPass(inbox.project, "partner") as held:
        seen = held.look()
    assert not seen.due
    assert not seen.waiting
    return dict(seen.strangers)


def test_link_to_a_file_of_ours_is_not_read(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    private = tmp_path / "private.csv"
    private.write_text(ROWS)
    (inbox.folder / "raw" / NAME).symlink_to(private)

    assert strangers(inbox) == {f"raw/{NAME}": "it is a symbolic link; put the file itself there"}
    assert inbox.run() == []
    assert inbox.files() == [f"raw/{NAME}"]


def test_link_that_replaces_a_listed_file_is_not_followed(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    path = inbox.drop(NAME, ROWS)
    private = tmp_path / "private.csv"
    private.write_text(ROWS)
    with InboxPass(inbox.project, "partner") as held:
        due = held.look().due
        path.unlink()
        path.symlink_to(private)
        assert list(held.take(due)) == []
    assert strangers(inbox) == {f"raw/{NAME}": "it is a symbolic link; put the file itself there"}


def test_pipe_and_folder_are_passed_over_and_keep_nobody_waiting(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    os.mkfifo(inbox.folder / "raw" / NAME)
    (inbox.folder / "raw" / NAME.replace("15", "16")).mkdir()

    assert strangers(inbox) == {}


def test_pipe_that_replaces_a_listed_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    folder = LocalFolder(name="drop", root=tmp_path)

    with pytest.raises(PermanentStorageError, match="it is no regular file"):
        folder.read(NAME, tmp_path / "copy")


@pytest.mark.xdist_group("sftp")
def test_link_on_a_server_is_not_read(openssh_server: OpenSsh, tmp_path: Path) -> None:
    account = openssh_server.login("plain")
    inbox = LocalInbox(tmp_path)
    inbox.project.storages["drop"] = sftp_spec(openssh_server, account, name="drop")  # type: ignore[index]
    raw = account.home / "raw"
    raw.mkdir(exist_ok=True)
    (account.home / "private.csv").write_text(ROWS)
    (raw / NAME).symlink_to(account.home / "private.csv")

    assert strangers(inbox) == {f"raw/{NAME}": "it is a symbolic link; put the file itself there"}


@pytest.mark.parametrize("name", ["{outside}/contacts_shop_20220315.csv", "x/../../../contacts_shop_20220315.csv", f"x/{NAME}"])
def test_name_that_leads_elsewhere_is_written_nowhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, outside = LocalInbox(tmp_path), tmp_path / "outside"
    outside.mkdir()
    listed = name.format(outside=outside)

    def listing(_self: LocalFolder, folder: str) -> Listing:
        return Listing([RemoteFile(listed, len(ROWS))] if folder == "raw" else [])

    def copy(_self: LocalFolder, _remote_path: str, local_path: Path, _size: int) -> None:
        local_path.write_text(ROWS)

    # No server of ours would list such a name: one that somebody else has taken over may.
    monkeypatch.setattr(LocalFolder, "list", listing)
    monkeypatch.setattr(LocalFolder, "read_listed", copy)

    assert inbox.run() == []
    assert list(strangers_of := strangers(LocalInbox(tmp_path / "again"))) == [f"raw/{listed}"]
    assert "its name has a / in it" in strangers_of[f"raw/{listed}"]
    assert not list(outside.iterdir())


@pytest.mark.parametrize(
    ("unseen", "shown"),
    [
        ("\n2026-01-01 ERROR all is lost", r"\n2026-01-01 ERROR all is lost"),
        ("\r", r"\r"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x7f", r"\x7f"),
        ("\u202e", r"\u202e"),
        ("\u2028", r"\u2028"),
        ("\udcff", r"\udcff"),
    ],
)
def test_name_that_would_forge_a_line_is_shown_written_out_and_not_taken(unseen: str, shown: str, tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop(f"contacts_shop_20220315{unseen}.csv", ROWS)

    assert strangers(inbox) == {
        rf"raw/contacts_shop_20220315{shown}.csv": "its name has characters that no one can see; ask for the file under another name"
    }


def test_quotes_and_sql_in_a_name_are_only_a_name(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    name = """x'); DROP TABLE inbound.files; --"_contacts_shop_20220315_$(id) `id` ünï 🎉.csv"""
    inbox.drop(name, ROWS)

    (record,) = inbox.run()

    assert (record.name, record.loaded) == (name, 1)
    assert inbox.rows("SELECT name FROM inbound.files") == [(name,)]
    assert inbox.rows("SELECT _file FROM feeds.contacts_shop") == [(name,)]
