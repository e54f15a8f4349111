"""An inbox in the UI: its sensor takes a dropped file in by itself, and a person sees whence rows come and what each file held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from ..components.test_imports import drop
from ..components.test_inbox import DEFINITIONS, make_inbox
from ..people import activation
from ..waiting import wait_for
from .conftest import Server, serving

# One server serves all tests here, so they stay in one process.
pytestmark = pytest.mark.xdist_group("dagster_ui")

_IMPORT_S = 300.0
# Graphs are laid out by the browser, which takes its time on a busy machine.
_SHOWN_MS = 120_000
_FILES = """\
query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { assetMaterializations(limit: 10) { partition } } }
}
"""


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A project whose sensor runs, in which a file lies from the beginning; it was imported before any test begins."""
    definitions = DEFINITIONS.replace("settle_seconds: 0", "settle_seconds: 1, poll_seconds: 5")
    definitions += activation("people_to_web", destination="drop", folder="exports", mapping="{id: id}")
    root = make_inbox(tmp_path_factory.mktemp("ui") / "inbox", definitions)
    drop(root, "contacts_shop_20220315.csv", "id,name,age\n1,Ana,31\n2,Bruno,45\n,Nobody,7\n3,Chloé,old\n")
    with serving(root, DINMO_AUTOSTART="1") as server:
        wait_for(lambda: partitions(server) or None, "the import of the dropped file", _IMPORT_S)
        yield server


def partitions(server: Server) -> list[str]:
    """The partitions of the feed that are there."""
    node: dict[str, Any] = server.query(_FILES, key={"path": ["feeds", "contacts_shop"]})["assetNodeOrError"]
    return [each["partition"] for each in node["assetMaterializations"]]


def test_sensor_imports_a_dropped_file_once(inbox: Server) -> None:
    (partition,) = partitions(inbox)

    assert partition.startswith("contacts_shop_20220315.csv (")
    assert list((inbox.root / "drop" / "raw").iterdir()) == []
    assert len(list((inbox.root / "drop" / "imports").rglob("contacts_shop_20220315.csv"))) == 1


def test_lineage_of_an_activation_begins_with_the_files_that_come_in(inbox: Server, page: Page) -> None:
    page.goto(f"{inbox.url}/assets/activations/people_to_web/delivery?view=lineage&lineageScope=upstream&lineageDepth=6")

    for name in ("contacts_shop", "contacts_web_leads", "contacts", "people", "people_to_web", "snapshot", "delivery"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=_SHOWN_MS)


def test_column_of_an_entity_leads_to_the_file_that_it_came_in(inbox: Server, page: Page) -> None:
    page.goto(f"{inbox.url}/assets/entities/contacts?view=lineage&column=age")

    expect(page.get_by_text("contacts_shop", exact=True).first).to_be_visible(timeout=_SHOWN_MS)


def test_file_is_a_partition_with_its_counts(inbox: Server, page: Page) -> None:
    (partition,) = partitions(inbox)
    page.goto(f"{inbox.url}/assets/feeds/contacts_shop?view=partitions&partition={quote(partition)}")

    for name, value in {"rows": "2", "records": "4", "skipped": "1", "rejected": "1"}.items():
        row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True)).first
        expect(row).to_contain_text(value, timeout=_SHOWN_MS)


def test_rejects_show_as_a_check(inbox: Server, page: Page) -> None:
    page.goto(f"{inbox.url}/assets/feeds/contacts_shop?view=checks&checkDetail=rejects")

    expect(page.get_by_text("contacts_shop_20220315.csv: 1 of 4 records rejected").first).to_be_visible(timeout=_SHOWN_MS)
