"""The file that keeps what is open about an inbox."""

from __future__ import annotations

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
