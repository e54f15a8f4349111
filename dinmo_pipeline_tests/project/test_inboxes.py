"""Inboxes and feeds: what their definitions mean, what queries may name of them, and what is wrong with bad ones."""

from __future__ import annotations

from textwrap import indent

import pytest

from dinmo_pipeline.errors import DefinitionErrors
from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboundColumn, InboxSpec
from dinmo_pipeline.project.load import load_project, load_with_warnings
from dinmo_pipeline.project.table_refs import TableRef

from .conftest import WriteProject

INBOX = "type: dinmo_pipeline.Inbox\nattributes: {name: partner, storage: out}\n"
FEED = {"inbox": "partner", "entity": "contacts", "source": "shop", "primary_key": "[id]"}


def feed(fields: str = "") -> str:
    """A feed, `contacts_shop` unless `fields` say otherwise; those begin on its line 3."""
    written = {line.partition(":")[0] for line in fields.splitlines()}
    rest = "".join(f"{field}: {value}\n" for field, value in FEED.items() if field not in written)
    return f"type: dinmo_pipeline.Feed\nattributes:\n{indent(fields.rstrip() + chr(10) if fields else '', '  ')}{indent(rest, '  ')}"


def model(sql: str) -> str:
    return f"type: dinmo_pipeline.Model\nattributes: {{name: people, primary_key: id, sql: {sql!r}}}\n"


def problems(write_project: WriteProject, files: dict[str, str]) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        load_project(write_project(files))
    return [str(problem) for problem in caught.value.problems]


def test_inbox_and_feed_get_their_defaults(write_project: WriteProject) -> None:
    root = write_project({"defs/a/defs.yaml": f"{INBOX}---\n{feed()}"}, pyproject='[tool.dinmo]\ntimezone = "Europe/Paris"\n')
    loaded = load_with_warnings(root)

    assert loaded.project.inboxes == {"partner": InboxSpec("partner", "out")}
    assert loaded.project.feeds == {"contacts_shop": FeedSpec("partner", "contacts", "shop", ("id",), timezone="Europe/Paris")}
    assert loaded.positions["inboxes.partner"].line == 1
    assert loaded.positions["feeds.contacts_shop"].line == 4


def test_every_option_of_a_feed_is_read(write_project: WriteProject) -> None:
    fields = """\
subsection: vip_2
primary_key: [Shop Id, "E-Mail"]
updated_at: Updated At
columns:
  Age: number
  Price: {type: number, decimal: ","}
  Born: {type: date, format: "%-d/%m/%Y"}
  Updated At: {type: timestamp, format: "%Y%m%d %H:%M"}
optional: Price
delimiter: '\\t'
quote: "'"
escape: '\\'
encoding: windows-1252
null_text: ["NULL", N/A]
skip_lines: 2
skip_last_lines: 1
timezone: America/New_York
load: append
"""
    project = load_project(write_project({"defs/a/defs.yaml": f"{INBOX}---\n{feed(fields)}"}))

    assert project.feeds["contacts_shop_vip_2"] == FeedSpec(
        inbox="partner",
        entity="contacts",
        source="shop",
        subsection="vip_2",
        primary_key=("shop_id", "e_mail"),
        updated_at="updated_at",
        columns=(
            InboundColumn("age", "number"),
            InboundColumn("price", "number", decimal=","),
            InboundColumn("born", "date", format="%-d/%m/%Y"),
            InboundColumn("updated_at", "timestamp", format="%Y%m%d %H:%M"),
        ),
        optional=("price",),
        csv=CsvDialect("\t", "'", "\\", "windows-1252", ("NULL", "N/A"), 2, 1),
        timezone="America/New_York",
        load="append",
    )


def test_every_option_of_an_inbox_is_read(write_project: WriteProject) -> None:
    text = (
        "type: dinmo_pipeline.Inbox\nattributes: {name: partner, storage: out, folder: drop/zone, settle_seconds: 0, poll_seconds: 5, "
        "done_file: .done, after_import: leave}\n"
    )
    project = load_project(write_project({"defs/a/defs.yaml": text}))

    assert project.inboxes["partner"] == InboxSpec("partner", "out", "drop/zone", 0, 5, ".done", "leave")


@pytest.mark.parametrize(
    ("written", "count", "share"),
    [("", 100, 0.01), ("50", 50, 0.0), ("0", 0, 0.0), ("1%", 0, 0.01), ("0.5%", 0, 0.005), ("100 %", 0, 1.0), ("0%", 0, 0.0)],
)
def test_max_rejected_holds_as_written(written: str, count: int, share: float, write_project: WriteProject) -> None:
    fields = f"max_rejected: {written}\n" if written else ""
    spec = load_project(write_project({"defs/a/defs.yaml": f"{INBOX}---\n{feed(fields)}"})).feeds["contacts_shop"]

    assert (spec.max_rejected, spec.max_rejected_share) == (count, share)


def test_json_feed_has_no_dialect(write_project: WriteProject) -> None:
    assert load_project(write_project({"defs/a/defs.yaml": f"{INBOX}---\n{feed('format: json')}"})).feeds["contacts_shop"].csv is None


def test_queries_read_feeds_and_entities_which_no_refresh_makes(write_project: WriteProject) -> None:
    sql = "SELECT * FROM entities.contacts JOIN feeds.contacts_shop USING (id) JOIN Entities.Orders USING (id)"
    files = {"defs/a/defs.yaml": f"{INBOX}---\n{feed()}---\n{feed('entity: orders')}---\n{model(sql)}"}
    project = load_project(write_project(files))

    ref = TableRef("models", "people")
    read = (TableRef("entities", "contacts"), TableRef("entities", "orders"), TableRef("feeds", "contacts_shop"))
    assert project.tables[ref].depends_on == read
    assert project.tables_for(ref) == (project.tables[ref],)


def test_entities_have_the_feeds_of_all_sources(write_project: WriteProject) -> None:
    feeds = (feed(), feed("source: web"), feed("entity: orders"), feed("entity: ordersitems"))
    project = load_project(write_project({"defs/a/defs.yaml": "---\n".join((INBOX, *feeds))}))

    assert {str(ref): [each.name for each in found] for ref, found in project.entities.items()} == {
        "entities.contacts": ["contacts_shop", "contacts_web"],
        "entities.orders": ["orders_shop"],
        "entities.ordersitems": ["ordersitems_shop"],
    }


FEEDS = {
    "fields that lack": (
        "type: dinmo_pipeline.Feed\nattributes: {}\n",
        [f"2: Feed: {field!r} is missing" for field in ("entity", "inbox", "primary_key", "source")],
    ),
    "inbox that is none": (feed("inbox: partnr"), ["3: Feed contacts_shop: inbox: there is no inbox 'partnr'; did you mean 'partner'?"]),
    "entity that is none": (feed("entity: contact"), ["3: Feed contact_shop: entity: unknown value 'contact'; did you mean 'contacts'?"]),
    "source that file names cannot have": (
        feed("source: The Shop\nsubsection: _x"),
        [
            "3: Feed contacts_The Shop__x: source: 'The Shop' is no part of a file name here; write small letters, digits and _",
            "4: Feed contacts_The Shop__x: subsection: '_x' is no part of a file name here; write small letters, digits and _",
        ],
    ),
    "one column twice": (
        feed("primary_key: [First Name, first_name]\ncolumns:\n  Age: number\n  age: text"),
        [
            "3: Feed contacts_shop: primary_key: 'first_name' is repeated; columns that differ by case alone are one",
            "6: Feed contacts_shop: columns: 'age' is the column 'age', which is declared already",
        ],
    ),
    "names that are none": (
        feed("updated_at: '!'\ncolumns:\n  '#': number"),
        [
            "3: Feed contacts_shop: updated_at: '!' has no letter or digit, so it is no name of a column",
            "5: Feed contacts_shop: columns: '#' has no letter or digit, so it is no name of a column",
        ],
    ),
    "types of columns": (
        feed(
            "columns:\n  a: numbr\n  b: {decimal: ','}\n  c: {type: text, decimal: ',', frmat: x}\n  d: {type: number, format: '%Y'}\n"
            "  e: {type: date, format: dd/mm/yyyy}\n  f: {type: date, format: '%d %K'}\n  g: [text]\n  h: {type: number, decimal: ';'}\n"
            "  i: {type: boolean, decimal: ','}"
        ),
        [
            "4: Feed contacts_shop: columns.a: unknown value 'numbr'; did you mean 'number'?",
            "5: Feed contacts_shop: 'columns.b.type' is missing",
            "6: Feed contacts_shop: unknown field 'columns.c.frmat'; did you mean 'format'?",
            "7: Feed contacts_shop: columns.d: format is for a date or a timestamp, and this is a column of type number",
            "8: Feed contacts_shop: columns.e.format: 'dd/mm/yyyy' has no % in it; write the parts of a date as in %d/%m/%Y %H:%M:%S",
            "9: Feed contacts_shop: columns.f.format: '%d %K': no part of a date is written %K; "
            "write the parts of a date as in %d/%m/%Y %H:%M:%S",
            "10: Feed contacts_shop: columns.g: expected a mapping, found a list",
            "11: Feed contacts_shop: columns.h.decimal: unknown value ';'; valid are ,, .",
            "12: Feed contacts_shop: columns.i: decimal is for a number, and this is a column of type boolean",
        ],
    ),
    "updated_at that has no order": (
        feed("updated_at: Seen\ncolumns: {seen: boolean}"),
        ["3: Feed contacts_shop: updated_at: 'seen' is declared as boolean; declare it as timestamp or date, to tell the newest"],
    ),
    "key that is optional": (
        feed("optional: [Id, name]"),
        ["3: Feed contacts_shop: optional: 'id' is in the primary key, which no file may lack"],
    ),
    "options of CSV on JSON": (
        feed("format: json\ndelimiter: ','\nskip_lines: 0"),
        [
            "4: Feed contacts_shop: delimiter is for CSV, and the feed's format is json; take it out",
            "5: Feed contacts_shop: skip_lines is for CSV, and the feed's format is json; take it out",
        ],
    ),
    "characters of CSV": (
        feed("delimiter: ';;'\nquote: ''\nescape: ab"),
        [
            f"{line}: Feed contacts_shop: {field}: {value!r} is not one character; write one, or \\t for a tab"
            for line, field, value in ((3, "delimiter", ";;"), (4, "quote", ""), (5, "escape", "ab"))
        ],
    ),
    "null that is not quoted": (
        feed("null_text: NULL"),
        ["3: Feed contacts_shop: null_text: expected a list, found 'NULL', which YAML takes for nothing; put it in quotes"],
    ),
    "one character for two things": (
        feed("delimiter: '|'\nquote: '|'"),
        ["4: Feed contacts_shop: quote: '|' is the delimiter, too; one character cannot be both"],
    ),
    "encoding, zone, format, load": (
        feed("encoding: utf9\ntimezone: Europe/Pari\nformat: ndjson\nload: upsert\nskip_lines: -1"),
        [
            "3: Feed contacts_shop: encoding: unknown encoding 'utf9'; did you mean 'utf-8'?",
            "4: Feed contacts_shop: timezone: unknown time zone 'Europe/Pari'; did you mean 'Europe/Paris'?",
            "5: Feed contacts_shop: format: unknown value 'ndjson'; did you mean 'json'?",
            "6: Feed contacts_shop: load: unknown value 'upsert'; valid are append, merge, replace",
            "7: Feed contacts_shop: skip_lines: '-1' is less than 0, the least it can be",
        ],
    ),
    **{
        f"{value} for max_rejected": (
            feed(f"max_rejected: {value}"),
            [f"3: Feed contacts_shop: max_rejected: {shown} is neither a number of rows, such as 50, nor a share of them, such as 0.5%"],
        )
        for value, shown in {"0.01": "0.01", "-1": "-1", "101%": "'101%'", "many": "'many'", "yes": "True"}.items()
    },
}


@pytest.mark.parametrize("case", FEEDS)
def test_bad_feed_is_told_with_its_lines(case: str, write_project: WriteProject) -> None:
    text, expected = FEEDS[case]
    found = problems(write_project, {"defs/a/defs.yaml": text, "defs/b/defs.yaml": INBOX})
    assert found == [f"defs/a/defs.yaml:{line}" for line in expected]


INBOXES = {
    "storage that is none": ("storage: oot", ["storage: there is no storage 'oot'; did you mean 'out'?"]),
    "folder that leaves the storage": ("storage: out, folder: ../x", ["folder: folder '../x' leaves the storage's path"]),
    "values": (
        "storage: out, done_file: a/b, settle_seconds: -1, poll_seconds: 0, after_import: keep",
        [
            "after_import: unknown value 'keep'; valid are delete, leave, move",
            "done_file: 'a/b' is no name for a file; write .done, or one such as READY",
            "poll_seconds: '0' is less than 1, the least it can be",
            "settle_seconds: '-1' is less than 0, the least it can be",
        ],
    ),
}


@pytest.mark.parametrize("case", INBOXES)
def test_bad_inbox_is_told(case: str, write_project: WriteProject) -> None:
    fields, expected = INBOXES[case]
    found = problems(write_project, {"defs/a/defs.yaml": f"type: dinmo_pipeline.Inbox\nattributes: {{name: partner, {fields}}}\n"})
    assert found == [f"defs/a/defs.yaml:2: Inbox partner: {message}" for message in expected]


def test_two_feeds_of_one_table_are_told(write_project: WriteProject) -> None:
    first, second = feed("source: shop\nsubsection: vip"), feed("source: shop_vip")
    assert problems(write_project, {"defs/a/defs.yaml": f"{INBOX}---\n{first}", "defs/b/defs.yaml": second}) == [
        "defs/b/defs.yaml:3: Feed contacts_shop_vip: the name is taken by another feed, in defs/a/defs.yaml:6; "
        "give this one another source or subsection"
    ]


def test_two_inboxes_of_one_folder_are_told(write_project: WriteProject) -> None:
    other = INBOX.replace("name: partner", "name: agency, folder: ./x/..")
    assert problems(write_project, {"defs/a/defs.yaml": f"{INBOX}---\n{other}"}) == [
        "defs/a/defs.yaml:5: Inbox agency: folder: inbox partner, in defs/a/defs.yaml:2, has the same folder; "
        "let the feeds of both name one inbox"
    ]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("FROM feeds.contacts_shp", "there is no table 'feeds.contacts_shp'; did you mean 'feeds.contacts_shop'?"),
        ("FROM entities.contact", "there is no table 'entities.contact'; did you mean 'entities.contacts'?"),
        ("FROM entities.orders", "there is no table 'entities.orders'; define a Feed with `entity: orders`"),
    ],
)
def test_query_over_what_no_feed_fills_is_told(sql: str, message: str, write_project: WriteProject) -> None:
    files = {"defs/a/defs.yaml": f"{INBOX}---\n{feed()}", "defs/b/defs.yaml": model(sql)}
    assert problems(write_project, files) == [f"defs/b/defs.yaml:2: Model people: sql: {message}"]
