"""`dinmo clean` on a project with Dagster's runs."""

from __future__ import annotations

from pathlib import Path

from dagster import DagsterInstance

from ..people import activation, make_people
from .conftest import Dinmo


def test_partitions_and_runs_of_syncs_that_are_not_kept_go_together(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes", keep_syncs="1", file_name='"{x}"'))
    for _ in range(3):
        assert dinmo("sync", "changes", project=root).code == 0
    told = dinmo("clean", "--dry-run", project=root)
    done = dinmo("clean", project=root)

    with DagsterInstance.from_config(str(root / ".dinmo" / "dagster")) as instance:
        partitions, runs = instance.get_dynamic_partitions("syncs_changes"), instance.get_runs()
    assert (told.code, done.code) == (0, 0)
    assert told.out.replace("would be", "were") == done.out
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["what", "snapshot", "partition", "partition", "3 were deleted"]
    assert len(partitions) == 1
    assert [run.tags["dagster/partition"] for run in runs] == partitions
    assert dinmo("clean", project=root).out == "there is nothing to delete\n"
    assert dinmo("sync", "changes", project=root).code == 0
