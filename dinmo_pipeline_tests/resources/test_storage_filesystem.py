"""A storage in the hands of somebody's own code, as a filesystem of fsspec: on every kind, whole or not at all."""

from __future__ import annotations

import gc
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dinmo_pipeline.errors import StorageError
from dinmo_pipeline.resources import LocalFolder, StorageResource
from dinmo_pipeline_tests.storages.places import Place

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")


def test_what_is_written_is_read_on_every_storage(place: Place, storage: StorageResource) -> None:
    files, csv, parquet, other = storage.filesystem(), place.path("a.csv"), place.path("b.parquet"), place.path("c.csv")

    with storage.open(csv, "w") as text:
        text.write("id,name\n1,Chloé\n")
    pq.write_table(pa.table({"n": [1, 2]}), parquet, filesystem=files)
    with storage.open(other, "wb") as file:
        pd.DataFrame({"n": [3]}).to_csv(file, index=False)

    assert storage.open(csv, "r", encoding="utf-8").read() == "id,name\n1,Chloé\n"
    assert pq.read_table(parquet, filesystem=files).to_pydict() == {"n": [1, 2]}
    assert pl.read_csv(storage.open(csv)).to_dict(as_series=False) == {"id": [1], "name": ["Chloé"]}
    assert sorted(files.ls(place.folder, detail=False)) == [csv, parquet, other]
    assert files.info(csv)["size"] == 17
    assert files.exists(csv)
    assert not files.exists(place.path("none.csv"))
    assert files.isdir(place.folder)

    files.rm(csv)
    assert not files.exists(csv)
    with pytest.raises(FileNotFoundError):
        storage.open(csv)


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(path=str(tmp_path / "out"))


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_block_that_ends_in_an_error_leaves_the_old_file(folder: LocalFolder, tmp_path: Path, mode: str) -> None:
    with folder.open("a.csv", "w") as text:
        text.write("old")

    def fail() -> None:
        with folder.open("a.csv", mode) as file:
            file.write("half" if mode == "w" else b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert [(path.name, path.read_text()) for path in (tmp_path / "out").iterdir()] == [("a.csv", "old")]


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_file_that_nobody_closes_is_not_written_and_told(folder: LocalFolder, tmp_path: Path, mode: str) -> None:
    def forget() -> None:
        folder.open("a.csv", mode).write("half" if mode == "w" else b"half")
        gc.collect()

    with pytest.warns(RuntimeWarning, match="was not closed, so it was not written"):
        forget()

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["a", "ab", "r+b"])
def test_file_is_read_or_written_anew(folder: LocalFolder, mode: str) -> None:
    with pytest.raises(ValueError, match="a file appears whole"):
        folder.open("a.csv", mode)


def test_new_file_takes_no_others_place(folder: LocalFolder) -> None:
    with folder.open("a.csv", "x") as text:
        text.write("first")
    with pytest.raises(FileExistsError):
        folder.open("a.csv", "x")


def test_compression_that_would_lose_the_file_is_refused(folder: LocalFolder) -> None:
    with pytest.raises(ValueError, match="compress what is written yourself"):
        folder.filesystem().open("a.csv.gz", "wb", compression="gzip")


def test_refusal_of_the_storage_comes_out_when_the_file_is_closed(folder: LocalFolder, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("no folder")
    with pytest.raises(StorageError, match="out"), folder.open("a.csv", "w") as text:
        text.write("x")
    assert (tmp_path / "out").read_text() == "no folder"


def test_large_file_is_fetched_whole_and_its_local_copy_goes(folder: LocalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with folder.open("big", "wb") as file:
        file.write(b"x" * 10_000_000)
    with folder.open("big") as file:
        assert len(file.read()) == 10_000_000
    [scratch] = tmp_path.glob("dinmo-*")
    assert list(scratch.iterdir()) == []
