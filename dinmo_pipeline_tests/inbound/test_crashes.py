"""An import that is killed anywhere, or runs twice at once: every row once, every file in `imports/` once."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.inbound import passes
from dinmo_pipeline.inbound.feed_tables import FeedTable
from dinmo_pipeline.inbound.looks import Looks
from dinmo_pipeline.inbound.record import Record
from dinmo_pipeline.storages.local import LocalFolder
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox, contacts
from dinmo_pipeline_tests.sync.conftest import CASES

DIED = 9
HEADER = "id,age,updated_at\n"

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


def import_until(root: Path, last_step: int, after_import: str) -> None:
    """Import, and end the process without a word at the step of this number, counted before and after each call that leaves a mark."""
    left = last_step

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(DIED)

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            step()
            result = function(*arguments, **options)
            step()
            return result

        return call

    for owner, names in MARKS.items():
        for name in names:
            setattr(owner, name, dying(getattr(owner, name)))
    LocalInbox(root, (contacts(load="append"),), {"after_import": after_import}).run()


MARKS: dict[Any, tuple[str, ...]] = {
    LocalFolder: ("list", "stat", "read", "put", "move", "delete", "make_folder"),
    FeedTable: ("load",),
    Record: ("add", "finish"),
    Looks: ("save",),
    passes: ("load_batch",),
}


def fill(inbox: LocalInbox) -> None:
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n2,old,2024-05-01\n")
    inbox.drop("contacts_shop_20240502.csv", HEADER + "3,31,2024-05-02\n")
    inbox.drop("contacts_shop_20240503.csv", HEADER + '4,"32,2024-05-02\n')


def started(root: Path, last_step: int, after_import: str) -> Any:
    process = PROCESSES.Process(target=import_until, args=(root, last_step, after_import))
    process.start()
    return process


def exit_code(process: Any) -> int:
    process.join(120)
    code: int = process.exitcode
    return code


@pytest.mark.parametrize("after_import", ["move", "leave", "delete"])
def test_import_when_killed_at_any_step_and_run_again_counts_every_row_and_file_once(tmp_path: Path, after_import: str) -> None:
    # Every seventh step in turn, another seventh for each way of leaving files; all of them when more cases are asked for.
    stride = 7 if CASES <= 1 else 1
    step, code = list(LEFT).index(after_import) - stride + 1, DIED
    while code == DIED:
        step += stride
        inbox = LocalInbox(tmp_path / str(step), (contacts(load="append"),), {"after_import": after_import})
        fill(inbox)

        code = exit_code(started(inbox.root, step, after_import))
        inbox.run()
        inbox.run()

        assert inbox.rows("SELECT id FROM feeds.contacts_shop ORDER BY id") == [("1",), ("3",)], f"killed at step {step}"
        counts = inbox.rows("SELECT outcome, count(*) FROM inbound.files GROUP BY 1 ORDER BY 1")
        assert counts == [("loaded", 2), ("refused", 1)], f"killed at step {step}"
        assert inbox.rows("SELECT count(*) FROM inbound.files WHERE NOT tidied") == [(0,)], f"killed at step {step}"
        assert inbox.files() == LEFT[after_import], f"killed at step {step}"
    assert (code, step > 30) == (0, True)


DAY = "imports/2024-05-06"
REFUSED = ["imports/refused/contacts_shop_20240503.csv", "imports/refused/contacts_shop_20240503.csv.reason.txt"]
REJECTS = f"{DAY}/contacts_shop_20240501.csv.rejects.csv"
LEFT = {
    "move": [f"{DAY}/contacts_shop_20240501.csv", REJECTS, f"{DAY}/contacts_shop_20240502.csv", *REFUSED],
    "leave": [REJECTS, REFUSED[1], *(f"raw/contacts_shop_2024050{day}.csv" for day in (1, 2, 3))],
    "delete": [REJECTS, *REFUSED],
}


def test_imports_at_once_count_every_row_and_file_once(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(load="append"),))
    for day in range(1, 29):
        inbox.drop(f"contacts_shop_202405{day:02d}.csv", HEADER + f"{day},30,2024-05-01\n")

    running = [started(inbox.root, 0, "move") for _ in range(5)]

    assert [exit_code(process) for process in running] == [0] * 5
    assert inbox.rows("SELECT count(*), count(DISTINCT id) FROM feeds.contacts_shop") == [(28, 28)]
    assert inbox.files() == [f"{DAY}/contacts_shop_202405{day:02d}.csv" for day in range(1, 29)]
