"""An import that was killed, or runs several times at once: every row once, every file in `imports/` once, nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from dinmo_pipeline.errors import StateError
from dinmo_pipeline_tests.faults.kinds import Ballast
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox, contacts
from dinmo_pipeline_tests.servers.disks import small_folder
from dinmo_pipeline_tests.sync.disk import forking
from dinmo_pipeline_tests.waiting import wait_for_end

HEADER = "id,age,updated_at\n"


def import_all(root: Path) -> None:
    LocalInbox(root, (contacts(load="append"),)).run()


def test_imports_at_once_count_every_row_and_file_once(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(load="append"),))
    for day in range(1, 29):
        inbox.drop(f"contacts_shop_202405{day:02d}.csv", HEADER + f"{day},30,2024-05-01\n")

    running = [forking().Process(target=import_all, args=(inbox.root,)) for _ in range(5)]
    for process in running:
        process.start()
    for process in running:
        wait_for_end(process)

    assert [process.exitcode for process in running] == [0] * 5
    assert inbox.rows("SELECT count(*), count(DISTINCT id) FROM feeds.contacts_shop") == [(28, 28)]
    assert inbox.files() == [f"imports/2024-05-06/contacts_shop_202405{day:02d}.csv" for day in range(1, 29)]


def test_copies_that_a_killed_import_left_go_with_the_next_one(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    left = inbox.project.home / "inbound/partner/fetched/batch/contacts_shop_20240501.csv"
    left.parent.mkdir(parents=True)
    left.write_text("a customer")

    inbox.run()

    assert [path.name for path in (inbox.project.home / "inbound/partner").iterdir() if path.is_dir()] == []


def test_import_on_a_full_disk_is_a_state_error_and_the_next_one_is_whole(tmp_path: Path) -> None:
    with small_folder(tmp_path / "small", megabytes=16) as small:
        # Of a disk that is so small nothing would be free otherwise.
        (small / "pyproject.toml").write_text("[tool.dinmo.limits]\nfree_disk_bytes = 0\n")
        inbox = LocalInbox(small, (contacts(load="append"),))
        inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")
        inbox.run()
        inbox.drop("contacts_shop_20240502.csv", HEADER + "".join(f"{number},30,2024-05-01\n" for number in range(2, 5000)))
        ballast = Ballast(small)
        ballast.take()
        with pytest.raises(StateError, match="No space left on device"):
            inbox.run()
        ballast.drop()
        inbox.run()

        assert inbox.rows("SELECT count(*), count(DISTINCT id) FROM feeds.contacts_shop") == [(4999, 4999)]
