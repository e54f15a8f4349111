"""Only what is loaded teaches a feed: what is refused or rejected changes nothing for the other files, in one pass or in several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dinmo_pipeline.inbound.load.import_ledger import Outcome
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboundColumn
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox, contacts

NOISE = "0.1000000000000000055511151231257827"


def feed(**options: Any) -> FeedSpec:
    return contacts(**{"updated_at": None, "columns": (InboundColumn("v", "number"),), **options})


def imported(root: Path, files: list[str], *, passes: int, **options: Any) -> LocalInbox:
    """An inbox that took these files, one a day, in one pass or in one for each."""
    extension = "ndjson" if options.get("csv", True) is None else "csv"
    inbox = LocalInbox(root, (feed(**options),))
    for day, content in enumerate(files, 1):
        inbox.drop(f"contacts_shop_202405{day:02}.{extension}", content)
        if passes > 1:
            inbox.run()
    inbox.run()
    return inbox


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("load", ["merge", "append"])
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["id;v\n1;1234567.89\n", f"id;v\n2;{NOISE}\n", "id;v\n3;5\n"], "1 3"),
        ([f"id;v\n1;{NOISE}\n2;7\n", "id;v\n3;1234567.89\n"], "2 3"),
        (["id;v\n1;1e-38\n2;5\n", "id;v\n3;0.5\n"], "2 3"),
        (['id;v\n1;0.00000000000000000001\n2;"9\n', "id;v\n3;1234567890123456789012.5\n"], "3"),
        (["id;v\n1;1e37\n2;0.5\n", "id;v\n3;19.99\n"], "2 3"),
        (['id;v;b\n1;1;x\n2;1;"y\n', "id;v\n3;1\n"], "3"),
        (["id;v\n1;1\n", "id;v;junk\n2;1;x\n", "id;v\n3;1\n"], "1 2 3"),
        (["id;v;b\n1;1;x\n", "id;v;b\n2;1;x\n", "id;v\n3;1\n"], "1 2"),
    ],
)
def test_rows_are_those_of_the_good_files_and_records(files: list[str], expected: str, load: str, passes: int, tmp_path: Path) -> None:
    inbox = imported(tmp_path, files, passes=passes, load=load)

    assert " ".join(id_ for (id_,) in inbox.rows("SELECT id FROM feeds.contacts_shop ORDER BY id")) == expected


@pytest.mark.parametrize("bad", ['{"id":2,"oops":1,"A":1,"a":2}', '{"id":null,"oops":1}', '{"id":2,"oops":1,"v":"x"}'])
def test_names_of_records_that_are_left_out_are_no_columns(bad: str, tmp_path: Path) -> None:
    inbox = imported(tmp_path, ['{"id":1,"v":1,"empty":null}\n' + bad, '{"id":3,"v":1,"empty":null}'], passes=2, csv=None)

    assert inbox.rows("SELECT id FROM feeds.contacts_shop ORDER BY id") == [("1",), ("3",)]
    assert [name for name, *_ in inbox.rows("DESCRIBE feeds.contacts_shop")][:3] == ["id", "v", "empty"]


@pytest.mark.parametrize("passes", [1, 2])
def test_newest_good_file_replaces(passes: int, tmp_path: Path) -> None:
    inbox = imported(tmp_path, ["id;v\n1;1\n", "id;v\n2;2\n", 'id;v\n3;"3\n'], passes=passes, load="replace")

    assert inbox.rows("SELECT id FROM feeds.contacts_shop") == [("2",)]


def test_largest_updated_at_is_of_records_that_are_loaded(tmp_path: Path) -> None:
    files = ["id;v;at\n2;1;\n1;1;2024-01-01\n;9;2099-01-01\n", "id;v;at\n2;2;2024-03-01\n"]
    inbox = imported(tmp_path, files, passes=2, updated_at="at")

    assert inbox.rows("SELECT v FROM feeds.contacts_shop WHERE id = '2'") == [(2,)]


@pytest.mark.parametrize("load", ["merge", "append", "replace"])
def test_same_bytes_again_are_known_and_go_to_the_others(load: str, tmp_path: Path) -> None:
    inbox = imported(tmp_path, ["id;v\n1;1\n", "id;v;b\n2;1;x\n", "id;v;b\n2;1;x\n3;1;x\n"], passes=2, load=load)
    inbox.drop("contacts_shop_20240501.csv", "id;v\n1;1\n")

    [record] = inbox.run()

    assert (record.outcome, record.reason) == (Outcome.REPEATED, "these very bytes were loaded before, as contacts_shop_20240501.csv")
    assert record.target == "imports/2024-05-06/contacts_shop_20240501_2.csv"


def test_correction_of_an_older_file_is_compared_with_files_that_are_not_newer(tmp_path: Path) -> None:
    inbox = imported(tmp_path, ["id;v\n1;1\n", "id;v\n2;1\n", "id;v;b\n3;1;x\n", "id;v;b\n4;1;x\n"], passes=2)
    inbox.drop("contacts_shop_20240502.csv", "id;v\n2;9\n")

    [record] = inbox.run()

    assert record.outcome == Outcome.LOADED
    assert inbox.rows("SELECT v FROM feeds.contacts_shop WHERE id = '2'") == [(9,)]


def test_file_whose_records_are_all_rejected_is_refused_with_the_first(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (feed(),))
    inbox.drop("contacts_shop_20240501.csv", f"id;v\n1;{NOISE}\n")

    [record] = inbox.run()

    assert record.outcome == Outcome.REFUSED
    assert str(record.reason).startswith(f"its only record is rejected; the first, line 2, column v, value '{NOISE}': it has 34 digits")


def test_column_of_a_name_by_the_old_rule_goes_on(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (feed(optional=("pre_nom",)),))
    inbox.drop("contacts_shop_20240501.csv", "id;v;Pre\u0301nom\n1;1;Zoe\n")
    inbox.run()

    assert inbox.rows("SELECT pre_nom FROM feeds.contacts_shop") == [("Zoe",)]


@pytest.mark.parametrize("text", ["01000", "007", "-01", "+00", "00.5", "01e3"])
def test_zero_that_a_number_would_lose_rejects_its_record(text: str, tmp_path: Path) -> None:
    inbox = imported(tmp_path, [f"id;v\n1;{text}\n2;0\n3;0.50\n4;-0.5\n5;0e0\n6;10\n"], passes=1)

    assert inbox.rows("SELECT id FROM feeds.contacts_shop ORDER BY id") == [("2",), ("3",), ("4",), ("5",), ("6",)]
    ((value, reason),) = inbox.rows("SELECT value, reason FROM inbound.rejects")
    assert value == text
    assert "zero that a number would lose: declare the column as text" in reason


def test_zeros_before_a_number_may_be_said_to_mean_nothing(tmp_path: Path) -> None:
    padded = (InboundColumn("v", "number", zero_padded=True),)
    inbox = imported(tmp_path, ["id;v\n1;000123.50\n2;007\n"], passes=1, columns=padded)

    assert inbox.rows("SELECT CAST(v AS VARCHAR) FROM feeds.contacts_shop ORDER BY id") == [("123.50",), ("7.00",)]
