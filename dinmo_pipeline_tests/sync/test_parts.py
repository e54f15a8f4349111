"""Files in parts, by DuckDB on real files: one after another they are the file that there would be without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dinmo_pipeline.engines.duckdb.diff import Changes, NumberedRows
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


def test_parts_read_their_rows_from_a_table_that_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    numbered = Changes.numbered

    def told(changes: Changes, rows: NumberedRows) -> object:
        found = numbered(changes, rows)
        made.append(found.window(4000, 500).query)
        return found

    monkeypatch.setattr(Changes, "numbered", told)
    disk = Disk(tmp_path, 'file_name: "e", sync_mode: insert, mapping: [id, v], max_rows: 500')
    disk.set_rows(ROWS)
    disk.run()
    assert made == ["SELECT * FROM numbered_0 WHERE rowid BETWEEN 4000 AND 4499"]
