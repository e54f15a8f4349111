"""Whole syncs on every storage: the same activation gives the same bytes everywhere, also when a delivery was cut short in its middle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dinmo_pipeline.engines.duckdb.tables import refresh
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.project.specs import ActivationSpec, MappedColumn, Project, RunType, SyncMode, TableSpec
from dinmo_pipeline.project.table_refs import TableRef
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.local.spec import LocalFolderSpec
from dinmo_pipeline.storages.publish import Parcel, Publisher
from dinmo_pipeline.sync.labels import label_of_instant
from dinmo_pipeline.sync.service import Delivery, SyncService

from .places import Place

SOURCE = TableRef("models", "customers")
MORNING = datetime(2025, 4, 14, 5, tzinfo=UTC)
MORNINGS = {
    MORNING: "SELECT i AS id, 'näme ' || i AS name, (i * 1.5)::DECIMAL(8, 2) AS value FROM range(1, 26) AS t(i)",
    MORNING
    + timedelta(
        days=1
    ): "SELECT i AS id, 'näme ' || i AS name, (i * if(i % 5 = 0, 2, 1.5))::DECIMAL(8, 2) AS value FROM range(4, 31) AS t(i)",
}


class Cut(BaseException):
    """What kills a process in the middle of its delivery."""


class Shop:
    """A project with one model, and one activation that delivers its changes to one storage."""

    def __init__(self, root: Path, storage: StorageSpec, folder: str) -> None:
        self.activation = ActivationSpec(
            name="customers",
            source=SOURCE,
            primary_key=("id",),
            destination=storage.name,
            folder=folder,
            file_name="customers",
            format=FORMATS["csv"].model_validate({"type": "csv", "compression": "gzip"}),
            run_type=RunType.FULL_THEN_DELTA,
            sync_mode=SyncMode.DIFFERENCE,
            mapping=tuple(MappedColumn(name, f"the {name}") for name in ("id", "name", "value")),
            timezone="Europe/Paris",
            max_rows=10,
            manifest=True,
            done_file=".done",
        )
        self.storage = storage
        self._root = root

    def morning(self, instant: datetime) -> Delivery:
        """Refresh and deliver."""
        table = TableSpec(ref=SOURCE, primary_key=("id",), sql=MORNINGS[instant], depends_on=())
        project = Project(
            root=self._root,
            home=self._root / ".dinmo",
            timezone="UTC",
            tables={SOURCE: table},
            storages={self.storage.name: self.storage},
            activations={"customers": self.activation},
        )
        refresh(project, table)
        syncs, label = SyncService(project, self.activation), label_of_instant(instant)
        if (completed := syncs.roll_forward()) is not None:
            return completed.delivery
        syncs.take_snapshot(label, now=instant)
        return syncs.deliver(label, now=instant)

    def files(self, into: Path) -> dict[str, bytes]:
        """What lies in the activation's folder, by name, read through the storage."""
        into.mkdir(exist_ok=True)
        found = {}
        with self.storage.connect(self._root) as connection:
            for file in connection.list(self.activation.folder):
                connection.read(f"{self.activation.folder}/{file.name}", into / "file")
                found[file.name] = (into / "file").read_bytes()
        return found


@pytest.fixture
def here(place: Place) -> Shop:
    """The shop that delivers to the storage under test."""
    return Shop(place.project_root, place.spec, place.folder)


@pytest.fixture
def expected(place: Place, tmp_path: Path) -> dict[datetime, dict[str, bytes]]:
    """What a local folder holds after each morning."""
    root = tmp_path / "expected"
    root.mkdir()
    shop = Shop(root, LocalFolderSpec(name="partner", path="out"), place.folder)
    files = {}
    for instant in MORNINGS:
        shop.morning(instant)
        files[instant] = shop.files(tmp_path / "read")
    return files


def test_same_activation_gives_the_same_bytes_on_every_storage(
    here: Shop, expected: dict[datetime, dict[str, bytes]], tmp_path: Path
) -> None:
    for instant in MORNINGS:
        here.morning(instant)

        assert here.files(tmp_path / "read") == expected[instant]

    # Three parts of the first morning became one, and nothing else is left behind.
    assert sorted(expected[MORNING]) == [
        "customers.done",
        "customers.manifest.json",
        "customers_added_1.csv.gz",
        "customers_added_2.csv.gz",
        "customers_added_3.csv.gz",
        "customers_removed_1.csv.gz",
        "customers_updated_1.csv.gz",
    ]
    assert sorted(expected[MORNING + timedelta(days=1)]) == [
        "customers.done",
        "customers.manifest.json",
        "customers_added_1.csv.gz",
        "customers_removed_1.csv.gz",
        "customers_updated_1.csv.gz",
    ]


def test_delivery_that_was_cut_short_is_completed_with_the_same_bytes(
    here: Shop, expected: dict[datetime, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = MORNINGS
    here.morning(first)
    calls = 0
    show = Publisher.show

    def show_once(self: Publisher, parcel: Parcel) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Cut
        show(self, parcel)

    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "show", show_once)
        with pytest.raises(Cut):
            here.morning(second)
    assert "customers.done" not in here.files(tmp_path / "read")

    completed = here.morning(second)

    assert completed.outcome.rolled_forward
    assert here.files(tmp_path / "read") == expected[second]
