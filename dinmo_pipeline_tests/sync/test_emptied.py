"""A source that lost its rows, and with them what its columns were known by: a file of a header alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dinmo_pipeline.errors import SyncBlocked
from dinmo_pipeline_tests.sync.disk import Disk


def test_rows_of_a_file_that_was_emptied_are_removed_once_somebody_approves(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    definitions = tmp_path / "defs/defs.yaml"
    # Types are found by DuckDB: a key of numbers, and text once there are none.
    definitions.write_text(definitions.read_text().replace(", columns = {id: 'INTEGER', v: 'VARCHAR'}", ""))
    disk.set_rows({1: "a", 2: "b"})
    disk.run()
    disk.consume()
    disk.set_rows({})

    with pytest.raises(SyncBlocked):
        disk.run()
    held = disk.syncs().approve()
    disk.syncs().deliver(held.label, now=disk.tick())
    disk.consume()

    assert disk.copy == {}
    assert disk.syncs().state().last_delivery is not None
    assert [path.name.split("_")[-1] for path in disk.files()[-3:]] == ["added.csv", "removed.csv", "updated.csv"]
