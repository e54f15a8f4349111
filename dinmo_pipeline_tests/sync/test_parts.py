"""Files in parts, by DuckDB on real files: one after another they are the file that there would be without them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dinmo_pipeline.engines.duckdb.differences.diff import Changes, NumberedRows
from dinmo_pipeline_tests.sync.disk import Disk

ROWS = {number: f"v{number * 7919 % 1000}" for number in range(5000)}


def ids(disk: Disk) -> list[int]:
    """The first column of every CSV file that was delivered, part after part."""
    files = sorted(disk.files(), key=lambda path: int(path.stem.rpartition("_")[2]))
    return [int(line.split(",")[0]) for path in files for line in path.read_text().splitlines()[1:]]


@pytest.mark.parametrize("limit", ["max_rows: 700", "max_bytes: 9000"])
@pytest.mark.parametrize("mode", ["upsert", "insert"])
def test_parts_hold_each_row_once_and_in_order(tmp_path: Path, mode: str, limit: str) -> None:
    disk = Disk(tmp_path, f'file_name: "e", sync_mode: {mode}, mapping: [id, v], {limit}')
    disk.set_rows(ROWS)
    disk.run()
    assert len(disk.files()) > 5
    assert ids(disk) == list(ROWS)

    disk.set_rows({number: value if number % 2 else "new" for number, value in ROWS.items()} | dict.fromkeys(range(6000, 8000), "a"))
    disk.run()
    added = list(range(6000, 8000))
    assert ids(disk) == (added if mode == "insert" else [number for number in ROWS if not number % 2] + added)


def windows_of(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a sync; the query of a window of each change's rows."""
    made: list[str] = []
    numbered = Changes.numbered

    def noted(changes: Changes, rows: NumberedRows) -> object:
        found = numbered(changes, rows)
        made.append(found.window(4000, 500).query)
        return found

    monkeypatch.setattr(Changes, "numbered", noted)
    disk.run()
    return made


def test_parts_of_kept_rows_read_a_table_that_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path, 'file_name: "e", sync_mode: insert, mapping: [id, v], max_rows: 500')
    disk.set_rows(ROWS)
    assert windows_of(disk, monkeypatch) == ["SELECT * FROM copy_0 WHERE rowid BETWEEN 4000 AND 4499"]


def of_every_row(root: Path) -> Disk:
    """A project whose activation sends its table in parts of 500 rows, and whose table is made."""
    disk = Disk(root, 'file_name: "e", sync_mode: snapshot, mapping: [id, v], max_rows: 500')
    defs = root / "defs/defs.yaml"
    defs.write_text(defs.read_text().replace("full_then_delta", "full_only"))
    disk.set_rows(ROWS)
    disk.refresh()
    return disk


def test_parts_of_a_table_read_the_table_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = of_every_row(tmp_path)
    (window,) = windows_of(disk, monkeypatch)
    assert "copy_0" not in window
    assert ids(disk) == list(ROWS)


@pytest.mark.parametrize("deleted", ["id % 3 = 1", "id < 700", "id >= 4400"])
def test_parts_of_a_table_that_lost_rows_hold_each_row_that_is_left(tmp_path: Path, deleted: str) -> None:
    disk = of_every_row(tmp_path)
    with duckdb.connect(str(disk.project.warehouse_path)) as connection:
        connection.execute(f"DELETE FROM models.people WHERE {deleted}")
        left = [row[0] for row in connection.execute("SELECT id FROM models.people ORDER BY id").fetchall()]
    disk.syncs().deliver("lost", now=disk.tick())
    assert ids(disk) == left
    assert len(disk.files()) == -(-len(left) // 500)
