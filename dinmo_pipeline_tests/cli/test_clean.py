"""`dinmo clean` on a project with Dagster's runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import DagsterInstance

from dinmo_pipeline.cli.dagster import cleaning
from dinmo_pipeline.cli.dagster.running import Runner
from dinmo_pipeline.project.load import load_with_warnings

from ..components.test_imports import GOOD
from ..components.test_inbox import DEFINITIONS
from ..inbox_projects import drop, make_inbox
from ..people import activation, make_people
from .conftest import Dinmo


def in_dagster(root: Path) -> DagsterInstance:
    return DagsterInstance.from_config(str(root / ".dinmo" / "dagster"))


def files_of_runs(root: Path) -> set[str]:
    """The runs of which Dagster's home has a file or a folder."""
    home = root / ".dinmo" / "dagster"
    return {path.name.split(".")[0] for path in (*(home / "history" / "runs").iterdir(), *(home / "storage").iterdir())} - {"index"}


def print_in_runs(root: Path) -> None:
    """Give each run what Dagster keeps of its output where the daemon has started it; runs of commands have none."""
    with in_dagster(root) as instance:
        for run in instance.get_runs():
            (root / ".dinmo" / "dagster" / "storage" / run.run_id / "compute_logs").mkdir(parents=True)


def test_partitions_and_runs_of_syncs_that_are_not_kept_go_together(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("changes", keep_syncs="1", file_name='"{x}"'))
    for _ in range(3):
        assert dinmo("sync", "changes", project=root).code == 0
    print_in_runs(root)
    told = dinmo("clean", "--dry-run", project=root)
    done = dinmo("clean", project=root)

    with in_dagster(root) as instance:
        partitions, runs = instance.get_dynamic_partitions("syncs_changes"), instance.get_runs()
    assert (told.code, done.code) == (0, 0)
    assert told.out.replace("would be", "were") == done.out
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["what", "partition", "partition", "2 were deleted"]
    assert len(partitions) == 1
    assert files_of_runs(root) == {run.run_id for run in runs}
    assert [run.tags["dagster/partition"] for run in runs] == partitions
    assert dinmo("clean", project=root).out == "there is nothing to delete\n"
    assert dinmo("sync", "changes", project=root).code == 0


def test_activation_whose_log_is_damaged_is_told_and_the_rest_is_cleaned(tmp_path: Path, dinmo: Dinmo) -> None:
    root = make_people(tmp_path, activation("broken") + activation("changes"))
    assert dinmo("sync", "--all", project=root).code == 0
    (root / ".dinmo/state/activations/broken/log/00000001.json").unlink()
    litter = root / ".dinmo/staging/changes"
    litter.mkdir(parents=True)
    perhaps_needed = root / ".dinmo/state/activations/changes/snapshots/000009-0badc0de.parquet"
    perhaps_needed.write_bytes(b"a crash came before its entry, or the broken one had this name")

    done = dinmo("clean", project=root)
    assert done.code == 1
    assert [line.split("\t")[:2] for line in done.out.splitlines()] == [
        ["what", "where"],
        ["activation", "broken"],
        ["working folder", str(litter)],
        ["1 was deleted"],
    ]
    assert "entry 1 is missing" in done.out
    assert (litter.exists(), perhaps_needed.exists()) == (False, True)


def test_older_runs_of_imports_go_with_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "KEPT_IMPORTS", 1)
    root = make_inbox(tmp_path, DEFINITIONS)
    loaded = load_with_warnings(root)
    for day in (15, 16, 17):
        drop(root, f"contacts_shop_202203{day}.csv", GOOD)
        with Runner(loaded) as runner:
            assert runner.import_files("contacts_shop").problem is None
    print_in_runs(root)
    told = cleaning.clean_runs(loaded.project, dry_run=True)
    done = cleaning.clean_runs(loaded.project, dry_run=False)

    with in_dagster(root) as instance:
        files, runs = instance.get_dynamic_partitions("files_contacts_shop"), instance.get_runs()
    assert told == done
    assert [(each.what, each.where) for each in done] == [("imports", "contacts_shop: 2 runs, 2 files")]
    assert [file.split(" ")[0] for file in files] == ["contacts_shop_20220317.csv"]
    assert files_of_runs(root) == {run.run_id for run in runs}
    assert len(runs) == 1
    assert cleaning.clean_runs(loaded.project, dry_run=False) == ()
