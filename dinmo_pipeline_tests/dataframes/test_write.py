"""A write shows whole files or changes nothing, in one file or in parts, and leaves no scratch behind."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from dinmo_pipeline.dataframes.file_layout import FileLayout
from dinmo_pipeline.errors import CallError, DataError, StorageError
from dinmo_pipeline.storages.local.spec import LocalFolder

from .writing import AT, write, writer

THREE = pl.DataFrame({"id": [1, 2, 3]})


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root / "out").as_posix() for path in (root / "out").rglob("*") if path.is_file())


def test_parts_are_numbered_and_hold_the_rows_in_order(tmp_path: Path) -> None:
    written = write(tmp_path, THREE, max_rows=2)

    assert [(file.path, file.rows) for file in written.files] == [("rows_1.csv", 2), ("rows_2.csv", 1)]
    assert [(tmp_path / "out" / file.path).read_bytes() for file in written.files] == [b"id\n1\n2\n", b"id\n3\n"]
    assert (written.rows, written.bytes) == (3, 12)


def test_parts_that_there_are_no_more_of_go_and_nothing_else_does(tmp_path: Path) -> None:
    made = writer(tmp_path, {"type": "csv"}, max_rows=1)
    before = [file.path for file in made.write(THREE, AT, {}).files]
    (tmp_path / "out" / "rows_9.csv").write_text("somebody's")

    made.write(THREE.head(1), AT, {}, before=[*before, "rows_9.csv", "../elsewhere.csv", "other.csv"])

    assert names(tmp_path) == ["rows_1.csv", "rows_9.csv"]


def test_file_takes_the_place_of_parts(tmp_path: Path) -> None:
    before = [file.path for file in writer(tmp_path, {"type": "csv"}, max_rows=1).write(THREE, AT, {}).files]

    writer(tmp_path, {"type": "csv"}).write(THREE, AT, {}, before=before)

    assert names(tmp_path) == ["rows.csv"]


def test_write_that_cannot_be_rendered_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, THREE, {"type": "csv", "encoding": "latin-1"})

    with pytest.raises(DataError, match="U\\+20AC"):
        write(tmp_path, pl.DataFrame({"id": ["€"]}), {"type": "csv", "encoding": "latin-1"})

    assert names(tmp_path) == ["rows.csv"]
    assert (tmp_path / "out" / "rows.csv").read_bytes() == b"id\n1\n2\n3\n"


def test_write_that_the_storage_refuses_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, THREE)
    refused = StorageError("no")

    def refuse(self: LocalFolder, remote_path: str, target_path: str) -> None:
        raise refused

    monkeypatch.setattr(LocalFolder, "move", refuse)
    with pytest.raises(StorageError):
        write(tmp_path, THREE.head(1))

    assert names(tmp_path) == ["rows.csv"]
    assert (tmp_path / "out" / "rows.csv").read_bytes() == b"id\n1\n2\n3\n"


def test_temporary_files_are_announced_before_there_is_one(tmp_path: Path) -> None:
    told = list[str]()

    def announce(paths: object) -> None:
        assert not (tmp_path / "out").exists()
        told.extend(paths)  # type: ignore[arg-type]

    writer(tmp_path, {"type": "csv"}, folder="in", max_rows=2).write(THREE, AT, {}, announce=announce)

    assert len(told) == 2
    assert all(path.startswith("in/.dinmo-") for path in told)


def test_names_hold_the_variables_and_the_time_in_its_zone(tmp_path: Path) -> None:
    made = writer(tmp_path, {"type": "csv"}, folder="{region}", file_name="{YYYY}-{MM}-{DD}T{HH}_{asset}", timezone="Asia/Tokyo")

    [file] = made.write(THREE, datetime(2026, 3, 4, 20, tzinfo=UTC), {"asset": "a", "region": "eu"}).files

    assert file.path == "eu/2026-03-05T05_a.csv"


@pytest.mark.parametrize("value", ["../up", "a/b", "..", "", "a\nb", "a\\b"])
def test_value_that_would_lead_elsewhere_is_refused(value: str) -> None:
    with pytest.raises(CallError, match="cannot stand in a path"):
        FileLayout("in", "{partition}", "csv").at(AT, {"partition": value})


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (FileLayout("in", "{assets_}", "csv"), "unknown variable '{assets_}'; did you mean 'asset'"),
        (FileLayout("in", "a/b", "csv"), "write folders into `folder`"),
        (FileLayout("in", "{", "csv"), "has no partner"),
    ],
)
def test_faulty_name_is_refused_in_words(layout: FileLayout, words: str) -> None:
    with pytest.raises(CallError, match=words):
        layout.at(AT, {"asset": "a"})


def test_folder_that_the_storage_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="leaves the storage's path"):
        write(tmp_path, THREE, folder="../up")


def test_scratch_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    write(tmp_path, THREE)

    [parent] = tmp_path.glob("dinmo-*")
    assert list(parent.iterdir()) == []
