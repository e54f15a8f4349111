"""An inbox in the UI: its sensor takes a dropped file in by itself, and a person sees whence rows come and what each file held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from ..cli.test_odd_files import definitions as hundred
from ..cli.test_odd_files import drop_a_hundred
from ..components.test_inbox import DEFINITIONS
from ..inbox_projects import drop, make_inbox
from ..people import activation
from ..servers.fixtures import openssh_server
from ..servers.openssh import OpenSsh
from ..waiting import wait_for
from .conftest import Server, serving

__all__ = ["openssh_server"]

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
def bad_files(openssh_server: OpenSsh) -> list[str]:
    """Seven that are bad in seven ways among a hundred on a server of SFTP."""
    return list(drop_a_hundred(openssh_server.login("plain"), "hundred"))


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory, openssh_server: OpenSsh, bad_files: list[str]) -> Iterator[Server]:
    """A project whose sensors run, in whose inboxes files lie from the beginning; those were imported before any test begins."""
    definitions = DEFINITIONS + activation("people_to_web", destination="drop", folder="exports", mapping="{id: id}")
    definitions += f"---\n{hundred(openssh_server, 'hundred', inbox='hundred')}"
    polled = definitions.replace("settle_seconds: 0", "settle_seconds: 1, poll_seconds: 5")
    root = make_inbox(tmp_path_factory.mktemp("ui") / "inbox", polled)
    drop(root, "contacts_shop_20220315.csv", "id,name,age\n1,Ana,31\n2,Bruno,45\n,Nobody,7\n3,Chloé,old\n")
    with serving(root, DINMO_AUTOSTART="1") as server:
        wait_for(lambda: partitions(server) or None, "the import of the dropped file", _IMPORT_S)
        wait_for(lambda: partitions(server, "orders_pos") or None, "the import of the hundred files", _IMPORT_S)
        yield server


def partitions(server: Server, feed: str = "contacts_shop") -> list[str]:
    """The partitions of the feed that are there."""
    node: dict[str, Any] = server.query(_FILES, key={"path": ["feeds", feed]})["assetNodeOrError"]
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


def test_check_of_a_feed_has_a_paragraph_for_each_bad_file(inbox: Server, page: Page, bad_files: list[str]) -> None:
    page.goto(f"{inbox.url}/assets/feeds/orders_pos?view=checks&checkDetail=rejects")

    reasons = ("Permission denied", "quote is never closed", "38 digits", "no key", "a folder has this name", "damaged", "no feed's name")
    for path, reason in zip(bad_files, reasons, strict=True):
        expect(page.locator("p").filter(has_text=f"{path}: ").filter(has_text=reason)).to_have_count(1, timeout=_SHOWN_MS)
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
