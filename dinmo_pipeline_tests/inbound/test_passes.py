"""A pass over an inbox: each file counts once, the newest record of each key stays, and nobody's file is lost."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from dinmo_pipeline.inbound.import_pass import InboxPass
from dinmo_pipeline.inbound.load import feed_table
from dinmo_pipeline.inbound.load.import_ledger import Outcome
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboundColumn
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox, contacts

HEADER = "id,age,updated_at\n"


def test_sample_of_the_guidelines_gives_its_three_rows_with_their_types(tmp_path: Path) -> None:
    types = {"id": "text", "json": "json", "text": "text", "date": "date", "bool": "boolean", "number": "number", "array": "array"}
    feed = FeedSpec(
        "partner", "contacts", "shop", ("id",), updated_at="date", columns=tuple(InboundColumn(*pair) for pair in types.items())
    )
    inbox = LocalInbox(tmp_path, (feed,))
    inbox.drop(
        "contacts_shop_20220315.csv",
        '"id";"json";"text";"date";"bool";"number";"array"\n'
        '"id_1";"{""name"":""Jean""}";"Hello";"2022-01-01 00:01:00";1;1.56;value1,value2\n'
        '"id_2";"{""name"":""Michel""}";"Hi";"2022-01-31 19:01:00";;-5.8;value1\n'
        '"id_3";"{""name"":""Marie""}";"Hola";"2022-01-31 07:01:00";0;99.156;\n',
    )

    inbox.run()

    def at(day: int, hour: int) -> dt.datetime:
        return dt.datetime(2022, 1, day, hour, 1, tzinfo=dt.UTC)

    assert inbox.rows("SELECT id, json->>'name', text, date, bool, number, \"array\" FROM feeds.contacts_shop ORDER BY id") == [
        ("id_1", "Jean", "Hello", at(1, 0), True, Decimal("1.560"), ["value1", "value2"]),
        ("id_2", "Michel", "Hi", at(31, 19), None, Decimal("-5.800"), ["value1"]),
        ("id_3", "Marie", "Hola", at(31, 7), False, Decimal("99.156"), None),
    ]
    described = dict(row[:2] for row in inbox.rows("DESCRIBE feeds.contacts_shop"))
    assert [described[name] for name in types] == [
        "VARCHAR", "JSON", "VARCHAR", "TIMESTAMP WITH TIME ZONE", "BOOLEAN", "DECIMAL(38,3)", "VARCHAR[]",
    ]  # fmt: skip


def test_file_when_imported_lies_in_imports_under_its_day_and_its_rows_tell_whence(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n\n2,31,2024-05-01\n")

    [record] = inbox.run()

    assert (record.outcome, record.loaded, record.skipped, record.rejected) == (Outcome.LOADED, 2, 0, 0)
    assert inbox.files() == ["imports/2024-05-06/contacts_shop_20240501.csv"]
    assert inbox.rows("SELECT id, _feed, _file, _line, _loaded_at FROM entities.contacts ORDER BY id") == [
        ("1", "contacts_shop", "contacts_shop_20240501.csv", 2, inbox.clock),
        ("2", "contacts_shop", "contacts_shop_20240501.csv", 4, inbox.clock),
    ]


def test_records_of_a_key_when_they_come_newest_first_leave_the_newest(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240502.csv", HEADER + "1,40,2024-05-02\n")
    inbox.run()
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n2,31,2024-05-01\n")

    inbox.run()

    assert inbox.rows("SELECT id, age, _file FROM feeds.contacts_shop ORDER BY id") == [
        ("1", 40, "contacts_shop_20240502.csv"),
        ("2", 31, "contacts_shop_20240501.csv"),
    ]


def test_null_updated_at_takes_the_largest_of_its_file(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,\n2,31,2024-04-30 10:00:00\n")

    inbox.run()

    largest = dt.datetime(2024, 4, 30, 10, tzinfo=dt.UTC)
    assert inbox.rows("SELECT updated_at FROM feeds.contacts_shop") == [(largest,), (largest,)]


def test_updated_at_when_no_record_has_one_is_the_date_of_the_name_with_a_warning(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240502.csv", "id,age\n1,40\n")
    [record] = inbox.run()
    inbox.drop("contacts_shop_20240501.csv", "id,age\n1,30\n")
    inbox.run()

    assert inbox.rows("SELECT age FROM feeds.contacts_shop") == [(40,)]
    assert record.warnings == ("no record has a value in updated_at, so the date in the file's name tells how new they are",)


def test_rejects_are_told_beside_the_file_with_line_column_value_and_reason(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n2,old,2024-05-01\n3,31\n ,32,2024-05-01\n")

    [record] = inbox.run()

    assert (record.records, record.loaded, record.skipped, record.rejected) == (4, 1, 1, 2)
    with (inbox.folder / f"{record.target}.rejects.csv").open(newline="", encoding="utf-8") as stream:
        told = list(csv.DictReader(stream))
    assert [(row["line"], row["column"], row["value"], row["record"]) for row in told] == [
        ("3", "age", "old", "2,old,2024-05-01"),
        ("4", "", "", "3,31"),
    ]
    assert told[0]["reason"] == "it is no number of at most 38 digits"
    assert inbox.rows('SELECT line, "column", value FROM inbound.rejects ORDER BY line') == [(3, "age", "old"), (4, None, None)]


def test_file_with_more_rejects_than_allowed_is_refused_beside_its_reason(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(max_rejected=1, max_rejected_share=0.0),))
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n2,old,2024-05-01\n3,older,2024-05-01\n")

    [record] = inbox.run()

    assert record.outcome == Outcome.REFUSED
    name = "imports/refused/contacts_shop_20240501.csv"
    assert inbox.files() == [name, f"{name}.reason.txt", f"{name}.rejects.csv"]
    assert "2 of its 3 records are rejected, and max_rejected allows 1" in (inbox.folder / f"{name}.reason.txt").read_text()
    assert inbox.rows("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'feeds'") == [(0,)]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (" ,30,2024-05-01\n", "its only record lacks a value of the key id; ask for the file with it, or correct the feed's `primary_key`"),
        (",30,2024-05-01\n,31,2024-05-01\n", "all 2 of its records lack a value of the key id; ask for"),
        (
            ",30,2024-05-01\n2,old,2024-05-01\n",
            "of its 2 records 1 lack a value of the key id, and all others are rejected; the first, line 3, column age, value 'old'",
        ),
    ],
    ids=["one", "all", "with rejects"],
)
def test_file_of_which_no_record_is_loaded_is_refused_although_none_is_told_as_a_reject(tmp_path: Path, rows: str, reason: str) -> None:
    inbox = LocalInbox(tmp_path, (contacts(load="replace"),))
    inbox.drop("contacts_shop_20240430.csv", HEADER + "1,30,2024-05-01\n")
    inbox.run()
    inbox.drop("contacts_shop_20240501.csv", HEADER + rows)

    [record] = inbox.run()

    assert record.outcome == Outcome.REFUSED
    assert str(record.reason).startswith(reason)
    assert inbox.rows("SELECT id FROM feeds.contacts_shop") == [("1",)]
    assert [trouble.kind for trouble in inbox.open()] == ["refused"]


def test_file_that_is_refused_keeps_no_other_of_its_batch_out(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", HEADER + '1,30,"2024-05-01\n')
    inbox.drop("contacts_shop_20240502.csv", HEADER + "2,31,2024-05-02\n")

    outcomes = [record.outcome for record in inbox.run()]

    assert outcomes == [Outcome.REFUSED, Outcome.LOADED]
    assert inbox.rows("SELECT id FROM feeds.contacts_shop") == [("2",)]


def test_column_that_the_last_file_had_is_missed_unless_it_is_optional(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(columns=()),))
    inbox.drop("contacts_shop_20240501.csv", "id,city,updated_at\n1,Lyon,2024-05-01\n")
    inbox.run()
    inbox.drop("contacts_shop_20240502.csv", "id,ctiy,updated_at\n1,Nice,2024-05-02\n")

    [refused] = inbox.run()
    taken = LocalInbox(tmp_path, (contacts(columns=(), optional=("city",)),))
    taken.drop("contacts_shop_20240503.csv", "id,updated_at\n1,2024-05-03\n")
    taken.run()

    assert refused.outcome == Outcome.REFUSED
    assert refused.reason is not None
    assert refused.reason.startswith("it has no column city, which contacts_shop_20240501.csv had; it has id, ctiy, updated_at.")
    assert taken.rows("SELECT id, city FROM feeds.contacts_shop") == [("1", None)]


def test_new_column_is_added_and_told(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")
    inbox.run()
    inbox.drop("contacts_shop_20240502.csv", "id,age,updated_at,city\n2,31,2024-05-02,Lyon\n")

    [record] = inbox.run()

    assert record.warnings == ("it has new columns: city",)
    assert inbox.rows("SELECT id, city FROM entities.contacts ORDER BY id") == [("1", None), ("2", "Lyon")]


def test_number_when_a_later_file_is_wider_keeps_all_values_exact(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,9007199254740993,2024-05-01\n")
    inbox.run()
    inbox.drop("contacts_shop_20240502.csv", HEADER + "2,12345678901234567890123,2024-05-02\n3,0.125,2024-05-02\n")

    inbox.run()

    assert inbox.rows("SELECT age FROM feeds.contacts_shop ORDER BY id") == [
        (Decimal("9007199254740993"),),
        (Decimal("12345678901234567890123"),),
        (Decimal("0.125"),),
    ]


def test_value_that_is_wide_late_in_a_file_is_exact(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    rows = "".join(f"{number},{number},2024-05-01\n" for number in range(200_000))
    inbox.drop("contacts_shop_20240501.csv", HEADER + rows + "last,0.001,2024-05-01\n")

    [record] = inbox.run()

    assert record.loaded == 200_001
    assert inbox.rows("SELECT sum(age), max(age) FILTER (id = 'last') FROM feeds.contacts_shop") == [
        (Decimal("19999900000.001"), Decimal("0.001"))
    ]


def test_events_when_the_same_bytes_come_again_are_skipped_and_said(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(load="append"),))
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n1,30,2024-05-01\n")
    inbox.run()
    inbox.drop("contacts_shop_20240502.csv", HEADER + "1,30,2024-05-01\n1,30,2024-05-01\n")

    [record] = inbox.run()

    assert record.outcome == Outcome.REPEATED
    assert record.reason == "these very bytes were loaded before, as contacts_shop_20240501.csv"
    assert inbox.rows("SELECT count(*) FROM feeds.contacts_shop") == [(2,)]


def test_replacing_feed_holds_its_newest_file_alone(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(load="replace"),))
    inbox.drop("contacts_shop_20240502.csv", HEADER + "2,31,2024-05-02\n2,32,2024-05-03\n")
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")

    outcomes = [(record.name, record.outcome) for record in inbox.run()]

    assert outcomes == [("contacts_shop_20240501.csv", Outcome.OUTDATED), ("contacts_shop_20240502.csv", Outcome.LOADED)]
    assert inbox.rows("SELECT id, age FROM feeds.contacts_shop") == [("2", 32)]


def test_replacing_file_that_would_empty_the_table_waits_for_a_word(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(load="replace"),))
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")
    inbox.run()
    inbox.drop("contacts_shop_20240502.csv", HEADER)

    [blocked] = inbox.run()
    again = inbox.run()
    rows_before = inbox.rows("SELECT id FROM feeds.contacts_shop")
    with InboxPass(inbox.project, "partner") as held:
        approved = held.approve("contacts_shop")
    [loaded] = inbox.run()

    assert (blocked.outcome, again, rows_before) == (Outcome.BLOCKED, [], [("1",)])
    assert approved == "contacts_shop_20240502.csv"
    assert (loaded.outcome, inbox.rows("SELECT id FROM feeds.contacts_shop")) == (Outcome.LOADED, [])
    assert inbox.files() == [f"imports/2024-05-06/contacts_shop_2024050{day}.csv" for day in (1, 2)]


def test_file_that_is_approved_need_not_stand_still_once_more(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(load="replace"),), {"settle_seconds": 60})
    outcomes = []
    for name, rows in (("contacts_shop_20240501.csv", "1,30,2024-05-01\n"), ("contacts_shop_20240502.csv", "")):
        inbox.drop(name, HEADER + rows)
        inbox.run()
        inbox.clock += dt.timedelta(seconds=60)
        outcomes += [record.outcome for record in inbox.run()]
    assert inbox.run() == []
    with InboxPass(inbox.project, "partner") as held:
        held.approve("contacts_shop")

    outcomes += [record.outcome for record in inbox.run()]

    assert outcomes == [Outcome.LOADED, Outcome.BLOCKED, Outcome.LOADED]


def test_changed_file_under_an_old_name_is_new_and_goes_over_no_other(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")
    inbox.run()
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,31,2024-05-01\n")

    inbox.run()

    assert inbox.rows("SELECT age FROM feeds.contacts_shop") == [(31,)]
    assert inbox.files() == ["imports/2024-05-06/contacts_shop_20240501.csv", "imports/2024-05-06/contacts_shop_20240501_2.csv"]


@pytest.mark.parametrize(("after_import", "left"), [("leave", ["raw/contacts_shop_20240501.csv"]), ("delete", [])])
def test_file_after_its_import_stays_or_goes_and_counts_once(tmp_path: Path, after_import: str, left: list[str]) -> None:
    inbox = LocalInbox(tmp_path, (contacts(load="append"),), {"after_import": after_import})
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")

    counts = [len(inbox.run()), len(inbox.run())]

    assert counts == [1, 0]
    assert inbox.files() == left


def test_first_load_comes_before_the_run_phase(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")
    inbox.drop("contacts_shop_20240601.csv", HEADER + "2,31,2024-06-01\n", folder="init")

    assert [record.path for record in inbox.run()] == ["init/contacts_shop_20240601.csv", "raw/contacts_shop_20240501.csv"]


def test_file_that_still_grows_waits(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, options={"settle_seconds": 60})
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")
    first = inbox.run()
    inbox.clock += dt.timedelta(seconds=61)
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n2,31,2024-05-01\n")
    second = inbox.run()
    inbox.clock += dt.timedelta(seconds=60)

    [record] = inbox.run()

    assert (first, second, record.loaded) == ([], [], 2)


@pytest.mark.parametrize("done", ["contacts_shop_20240501.done", "contacts_shop_20240501.csv.done"])
def test_file_with_a_done_file_waits_for_it_alone(tmp_path: Path, done: str) -> None:
    inbox = LocalInbox(tmp_path, options={"done_file": ".done", "settle_seconds": 60})
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")
    inbox.clock += dt.timedelta(days=1)
    before = inbox.run()
    inbox.drop(done, "")

    after = inbox.run()

    assert (before, len(after)) == ([], 1)
    assert inbox.files() == [f"imports/2024-05-07/{name}" for name in sorted(("contacts_shop_20240501.csv", done))]


def test_stranger_stays_and_is_told_once(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("kontacts_shop_20240501.csv", HEADER)
    inbox.drop("contacts_shop_20240501.csv.part", HEADER)

    with InboxPass(inbox.project, "partner") as held:
        first, second = held.look(), held.look()

    assert list(first.strangers) == ["raw/kontacts_shop_20240501.csv"]
    assert "contacts_shop" in first.strangers["raw/kontacts_shop_20240501.csv"]
    assert second.strangers == {}


def test_stranger_is_told_again_when_there_are_other_feeds(tmp_path: Path) -> None:
    told = []
    for feeds in ((contacts(),), (contacts(), contacts(subsection="vip"))):
        inbox = LocalInbox(tmp_path, feeds)
        inbox.drop("contact_shop_vip_20240501.csv", HEADER)
        for _ in range(2):
            with InboxPass(inbox.project, "partner") as held:
                told.append([reason.rpartition(" ")[2] for reason in held.look().strangers.values()])

    assert told == [["'contacts_shop'?"], [], ["'contacts_shop_vip'?"], []]


def test_entities_hold_all_feeds_under_one_another_and_differing_types_as_text(tmp_path: Path) -> None:
    web = FeedSpec("partner", "contacts", "web", ("id",), columns=(InboundColumn("age", "text"),))
    inbox = LocalInbox(tmp_path, (contacts(), web))
    inbox.drop("contacts_shop_20240501.csv", HEADER + "1,30,2024-05-01\n")
    inbox.drop("contacts_web_20240501.csv", "id,age,city\n1,young,Lyon\n")

    inbox.run()

    assert inbox.rows("SELECT _feed, id, age, city FROM entities.contacts ORDER BY _feed") == [
        ("contacts_shop", "1", "30", None),
        ("contacts_web", "1", "young", "Lyon"),
    ]


def test_column_declared_anew_is_converted_or_nothing_is_loaded(tmp_path: Path) -> None:
    text = LocalInbox(tmp_path, (contacts(columns=()),))
    text.drop("contacts_shop_20240501.csv", HEADER + "1,30.5,2024-05-01\n")
    text.run()
    number = LocalInbox(tmp_path)
    number.drop("contacts_shop_20240502.csv", HEADER + "2,31,2024-05-02\n")
    number.run()
    flag = LocalInbox(tmp_path, (contacts(columns=(InboundColumn("age", "boolean"),)),))
    flag.drop("contacts_shop_20240503.csv", HEADER + "3,1,2024-05-03\n")

    assert flag.run() == []
    [trouble] = flag.open()
    assert "2 of its values are no boolean, such as" in trouble.reason
    assert "raw/contacts_shop_20240503.csv" in flag.files()
    assert number.rows("SELECT age FROM feeds.contacts_shop ORDER BY id") == [(Decimal("30.5"),), (Decimal("31.0"),)]
    assert "feeds.contacts_shop" in trouble.reason


@pytest.mark.parametrize("name", ["_arrival", "_file_date", "_feed", "_fault_value"])
def test_column_that_has_a_name_of_ours_refuses_its_file_in_words(tmp_path: Path, name: str) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", f"id,age,updated_at,{name}\n1,30,2024-05-01,x\n")

    [record] = inbox.run()

    assert record.outcome == Outcome.REFUSED
    assert name in str(record.reason)


def test_empty_json_array_says_nothing_of_columns_and_changes_nothing(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(columns=(), csv=None),))
    inbox.drop("contacts_shop_20240501.json", "[]")
    [first] = inbox.run()
    inbox.drop("contacts_shop_20240502.json", '[{"id": 1, "city": "Lyon"}]')
    inbox.drop("contacts_shop_20240503.json", "[]")
    loaded, empty = inbox.run()
    inbox.drop("contacts_shop_20240504.json", '[{"id": 1, "ctiy": "Nice"}]')
    [refused] = inbox.run()

    assert [(made.outcome, made.loaded) for made in (first, loaded, empty)] == [("loaded", 0), ("loaded", 1), ("loaded", 0)]
    assert refused.reason is not None
    assert refused.reason.startswith("it has no column city, which contacts_shop_20240502.json had")
    assert inbox.rows("SELECT id, city FROM feeds.contacts_shop") == [("1", "Lyon")]


def test_empty_json_array_that_replaces_a_table_waits_to_be_approved(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(columns=(), csv=None, load="replace"),))
    inbox.drop("contacts_shop_20240501.json", '[{"id": 1}]')
    inbox.run()
    inbox.drop("contacts_shop_20240502.json", "[]")
    [blocked] = inbox.run()
    before = inbox.rows("SELECT id FROM feeds.contacts_shop")
    with InboxPass(inbox.project, "partner") as held:
        held.approve("contacts_shop")
    [approved] = inbox.run()

    assert (blocked.outcome, before) == (Outcome.BLOCKED, [("1",)])
    assert approved.outcome == Outcome.LOADED
    assert inbox.rows("SELECT count(*) FROM feeds.contacts_shop") == [(0,)]


def test_file_that_replaces_is_loaded_where_the_newer_one_that_came_with_it_is_refused(tmp_path: Path) -> None:
    inbox = LocalInbox(tmp_path, (contacts(columns=(), load="replace"),))
    for day, content in enumerate(("id,city\n1,Lyon\n", "id,city\n2,Nice\n", "id,ctiy\n3,Metz\n")):
        inbox.drop(f"contacts_shop_2024050{day}.csv" if day else "contacts_shop_20240430.csv", content)
    inbox.drop("contacts_shop_20240503.csv", b"id,city\n\xff,x\n")
    assert [made.outcome for made in inbox.run()] == ["outdated", "loaded", "refused", "refused"]
    assert inbox.rows("SELECT id, city FROM feeds.contacts_shop") == [("2", "Nice")]


@pytest.mark.parametrize("altered_at_most", [0, 10**9], ids=["rewritten", "altered"])
def test_new_columns_and_wider_ones_leave_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, altered_at_most: int) -> None:
    monkeypatch.setattr(feed_table, "_MOST_ALTERED", altered_at_most)
    inbox = LocalInbox(tmp_path)
    inbox.drop("contacts_shop_20240501.csv", "id,age,updated_at,a\n1,9007199254740993,2024-05-01,x\n2,,2024-05-01,\n")
    inbox.run()
    inbox.drop("contacts_shop_20240502.csv", "id,age,updated_at,a,b,c d\n3,0.125,2024-05-02,,y,z\n")
    inbox.run()

    described = [(name, kind) for name, kind, *_ in inbox.rows("DESCRIBE feeds.contacts_shop") if not name.startswith("_")]
    assert described == [
        *(("id", "VARCHAR"), ("age", "DECIMAL(38,3)"), ("updated_at", "TIMESTAMP WITH TIME ZONE"), ("a", "VARCHAR")),
        *(("b", "VARCHAR"), ("c_d", "VARCHAR")),
    ]
    rows = inbox.rows("SELECT id, CAST(age AS VARCHAR), a, b, c_d, _file FROM entities.contacts ORDER BY id")
    assert rows == [
        ("1", "9007199254740993.000", "x", None, None, "contacts_shop_20240501.csv"),
        ("2", None, None, None, None, "contacts_shop_20240501.csv"),
        ("3", "0.125", None, "y", "z", "contacts_shop_20240502.csv"),
    ]
