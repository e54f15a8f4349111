"""`kill -9` before and after each step of a sync, on real files: the next sync ends right, and nothing is left behind."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from dinmo_pipeline.sync.syncs import Completed
from dinmo_pipeline_tests.sync.conftest import CASES
from dinmo_pipeline_tests.sync.disk import DIFFERENCE, Disk

BEFORE = {1: "a", 2: "b", 3: "c"}
AMID = {1: "a", 2: "B", 7: "seven"}
AFTER = {1: "A", 2: "B", 8: "eight"}
OPTIONS = {
    "difference": DIFFERENCE,
    "fixed parts": 'file_name: "e", sync_mode: difference, max_rows: 1, mapping: [id, v]',
    "upsert": 'file_name: "e", sync_mode: upsert, mapping: [id, v]',
    "insert": 'file_name: "{x}_e", sync_mode: insert, mapping: [id, v]',
    "manifest": DIFFERENCE + ', manifest: true, done_file: ".done"',
}


def ended(disk: Disk, step: int, *, take_away: bool) -> list[str]:
    """A sync that is killed at `step`, and plain ones until one is delivered; the steps of the killed one, none when it came through."""
    disk.set_rows(AMID)
    code, steps = disk.run_killed(step)
    assert code in (-signal.SIGKILL, 0)
    consume(disk, take_away=take_away)
    disk.set_rows(AFTER)
    while isinstance(disk.run(), Completed):
        consume(disk, take_away=take_away)
    consume(disk, take_away=take_away)
    return steps if code else []


def delivered_once(root: Path, options: str) -> Disk:
    disk = Disk(root, options)
    disk.set_rows(BEFORE)
    disk.run()
    return disk


def consume(disk: Disk, *, take_away: bool) -> None:
    for companion in [*disk.out.rglob("*.manifest.json"), *disk.out.rglob("*.done")]:
        companion.unlink()
    disk.consume(take_away=take_away)


@pytest.mark.parametrize("take_away", [False, True], ids=["consumer_leaves", "consumer_takes_away"])
@pytest.mark.parametrize("mode", OPTIONS)
def test_sync_killed_at_each_step_loses_nothing(tmp_path: Path, mode: str, take_away: bool) -> None:
    first = delivered_once(tmp_path / "first", OPTIONS[mode])
    # A long run kills at each step; the simulation crashes at each in any case.
    stride = 1 if CASES > 1 else 5
    step, steps = int(take_away) - stride + 1, ["begin"]
    while steps:
        step += stride
        disk = copied(first, tmp_path / str(step))
        consume(disk, take_away=take_away)
        steps = ended(disk, step, take_away=take_away)
        where = f"killed at step {step}, {steps[-1:]}"
        keys = {key_of(key): value for key, value in AFTER.items()}
        values = {key: row.get("v", row.get("value")) for key, row in disk.copy.items()}
        if mode == "insert":
            assert set(keys) <= set(disk.inserted), where
        elif mode == "upsert":
            assert {key: values.get(key) for key in keys} == {key: repr(value) for key, value in keys.items()}, where
        else:
            assert values == {key: repr(value) for key, value in keys.items()}, where
        assert not disk.left_behind(), where
    assert step > 15, "the steps were not found"


def test_row_of_half_delivered_sync_that_left_is_removed_from_the_consumer(tmp_path: Path) -> None:
    disk = delivered_once(tmp_path / "first", DIFFERENCE)
    _, steps = copied(disk, tmp_path / "counted").run_killed(0)
    disk.consume()
    disk.set_rows({**BEFORE, 7: "seven"})
    code, steps = disk.run_killed(steps.index("after move") + 1)
    assert (code, steps[-1]) == (-signal.SIGKILL, "after move")
    disk.consume()
    assert key_of(7) in disk.copy, "_added came into sight, and nothing else"
    disk.set_rows(BEFORE)
    disk.run()
    disk.consume()
    assert set(disk.copy) == {key_of(1), key_of(2), key_of(3)}


def copied(disk: Disk, root: Path) -> Disk:
    shutil.copytree(disk.root, root)
    return Disk(root, disk.options, runs=disk.runs)


def key_of(number: int) -> str:
    return str(("number", str(number)))
