"""The file that keeps what is open about an inbox."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dinmo_pipeline.errors import PermanentStorageError
from dinmo_pipeline.inbound.troubles.troubles import save_troubles

from .inboxes import LocalInbox


def test_what_a_killed_pass_was_writing_goes_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "troubles.json"
    save_troubles(path, [])
    (tmp_path / "troubles.json.draft").write_text("[{", encoding="utf-8")

    save_troubles(path, [])

    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".draft")] == []


def test_inbox_whose_folders_are_missing_is_no_inbox_without_files(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    for folder in ("raw", "init"):
        (inbox.folder / folder).rmdir()
    with pytest.raises(PermanentStorageError, match=r"neither init nor raw on storage drop, .*`dinmo inbox create partner`"):
        inbox.run()
    assert [trouble.kind for trouble in inbox.open()] == ["failed"]
    (inbox.folder / "raw").mkdir()
    assert inbox.run() == []
    assert inbox.open() == ()


def test_misspelt_raw_beside_init_is_told_and_what_init_has_is_loaded(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    (inbox.folder / "raw").rename(inbox.folder / "row")
    (inbox.folder / "init" / "contacts_shop_20240130.csv").write_text("id,updated_at,age\n1,2024-01-30,1\n")
    assert [record.outcome for record in inbox.run()] == ["loaded"]
    [trouble] = inbox.open()
    assert (trouble.kind, trouble.since) == ("missing", inbox.clock)
    assert "no folder raw" in trouble.reason
    assert "`dinmo inbox create partner`" in trouble.advice
    inbox.clock += timedelta(hours=1)
    assert inbox.run() == []
    assert [each.since for each in inbox.open()] == [trouble.since]
    (inbox.folder / "row").rename(inbox.folder / "raw")
    assert (inbox.run(), inbox.open()) == ([], ())
    # Nothing has to be there for the first load alone.
    (inbox.folder / "init").rename(inbox.folder / "first")
    assert (inbox.run(), inbox.open()) == ([], ())
