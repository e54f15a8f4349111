"""Names of inbound files: those of the guidelines, made-up ones of the grammar, and what is said of those that fit no feed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.inbound.inbox.file_names import NameMatch, is_temporary, match_name
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.schema.inbound import ENTITIES

DAY = date(2022, 3, 15)


def feed(name: str, *, json: bool = False) -> FeedSpec:
    entity, source, *subsection = name.split("_", 2)
    return FeedSpec("inbox", entity, source, ("id",), subsection=subsection[0] if subsection else None, csv=None if json else CsvDialect())


FEEDS = [
    feed("contacts_salesforce"),
    feed("contacts_prestashop"),
    feed("contacts_prestashop_customers"),
    feed("contacts_prestashop_subscribers"),
    feed("orders_pos"),
    feed("ordersitems_pos"),
    feed("events_web", json=True),
]


def outcome_of(file_name: str, feeds: Iterable[FeedSpec]) -> NameMatch | str:
    """What the name says, or why it says nothing."""
    found = match_name(file_name, feeds)
    return found if isinstance(found, NameMatch) else found()


@pytest.mark.parametrize(
    ("file_name", "name", "prefix", "suffix", "compression"),
    [
        ("contacts_salesforce_20220315.csv", "contacts_salesforce", "", "", None),
        ("contacts__salesforce_20220315.csv", "contacts_salesforce", "", "", None),
        ("contacts__prestashop_customers_20220315.csv", "contacts_prestashop_customers", "", "", None),
        ("contacts_prestashop_subscribers_20220315.csv", "contacts_prestashop_subscribers", "", "", None),
        ("contacts_prestashop_20220315.csv", "contacts_prestashop", "", "", None),
        ("Contacts__Salesforce_20220315.CSV", "contacts_salesforce", "", "", None),
        ("prod_contacts_salesforce_20220315_v2.csv", "contacts_salesforce", "prod_", "_v2", None),
        ("Export-contacts_salesforce_20220315120000.csv.GZ", "contacts_salesforce", "Export-", "120000", "gzip"),
        ("contacts_salesforce_20220315 (1).csv.zst", "contacts_salesforce", "", " (1)", "zstd"),
        ("contacts_salesforce_20220315_20220316.csv", "contacts_salesforce", "", "_20220316", None),
        ("contacts_salesforce_20221332_4711_20220315.csv", "contacts_salesforce", "", "", None),
        ("orders_pos_ordersitems_pos_20220315.csv", "ordersitems_pos", "orders_pos_", "", None),
        ("ordersitems_pos_20220315.csv", "ordersitems_pos", "", "", None),
        ("contacts_salesforce_contacts_salesforce_20220315.csv", "contacts_salesforce", "contacts_salesforce_", "", None),
        ("events__web_20220315[2].json", "events_web", "", "[2]", None),
        ("events_web_20220315.ndjson.gz", "events_web", "", "", "gzip"),
        ("events_web_20220315.JSONL", "events_web", "", "", None),
    ],
)
def test_name_of_a_feed_is_told_apart(file_name: str, name: str, prefix: str, suffix: str, compression: str | None) -> None:
    found = match_name(file_name, FEEDS)

    assert isinstance(found, NameMatch), found
    assert (found.feed.name, found.date, found.prefix, found.suffix, found.compression) == (name, DAY, prefix, suffix, compression)


@pytest.mark.parametrize(
    ("file_name", "reason"),
    [
        (
            "contact_salesforce_20220315.csv",
            "no feed's name stands in it; did you mean 'contacts_salesforce'?",
        ),
        ("mycontacts_salesforce_20220315.csv", "no feed's name stands in it; did you mean 'contacts_salesforce'?"),
        ("contacts-salesforce-20220315.csv", "no feed's name stands in it; did you mean 'contacts_salesforce'?"),
        (
            "contacts_salesforce_leads_20220315.csv",
            "feed contacts_salesforce is nearest, but 'leads' stands before the date; define a feed contacts_salesforce_leads, "
            "or take it out of the name",
        ),
        ("contacts_salesforce.csv", "it has the name of feed contacts_salesforce, and no date after it; _YYYYMMDD belongs there"),
        (
            "contacts_salesforce_15032022.csv",
            "feed contacts_salesforce is nearest, but '15032022' does not begin with a date; YYYYMMDD belongs there",
        ),
        (
            "contacts_salesforce_20220231.csv",
            "feed contacts_salesforce is nearest, but '20220231' does not begin with a date; YYYYMMDD belongs there",
        ),
        (
            "contacts_salesforce_2022-03-15.csv",
            "feed contacts_salesforce is nearest, but '2022-03-15' does not begin with a date; YYYYMMDD belongs there",
        ),
        (
            "contacts_salesforce_20220315.xlsx",
            "its name ends in none of .csv, .json, .ndjson and .jsonl, with or without .gz or .zst; "
            "otherwise it would be of feed contacts_salesforce",
        ),
        ("README", "its name ends in none of .csv, .json, .ndjson and .jsonl, with or without .gz or .zst"),
        (
            "contacts_salesforce_20220315.json",
            "its name ends in .json, and feed contacts_salesforce takes CSV; change the feed's format, or the name",
        ),
        (
            "events_web_20220315.csv.gz",
            "its name ends in .csv.gz, and feed events_web takes JSON; change the feed's format, or the name",
        ),
        (
            "stores_pos_20220315.csv",
            "no feed's name stands in it; did you mean 'orders_pos'?",
        ),
    ],
)
def test_name_that_fits_no_feed_is_told_what_does_not_fit(file_name: str, reason: str) -> None:
    assert outcome_of(file_name, FEEDS) == reason


def test_inbox_without_feeds_is_told_to_have_one() -> None:
    assert outcome_of("contacts_salesforce_20220315.csv", []) == "the inbox has no feed; define one"


@pytest.mark.parametrize("name", [".contacts_a_20220315.csv", "a.csv.part", "a.csv.TMP", "a.filepart", "~$a.csv", "a.csv~", "a.crdownload"])
def test_unfinished_file_is_temporary(name: str) -> None:
    assert is_temporary(name)


@pytest.mark.parametrize("name", ["contacts_a_20220315.csv", "parts.csv", "tmp", "a.part.csv", "contacts_a_20220315.csv.gz"])
def test_whole_file_is_not_temporary(name: str) -> None:
    assert not is_temporary(name)


PARTS = st.from_regex(re.compile(r"[a-z0-9]{1,4}(_[a-z0-9]{1,3})?", re.ASCII), fullmatch=True)
NAMES = st.tuples(st.sampled_from(ENTITIES), PARTS, st.sampled_from(["", "vip"])).map(lambda parts: "_".join(filter(None, parts)))
# Affixes have a character that no feed's name and no date has: with those alone a prefix could end in another feed's name.
AFFIX = st.text(st.sampled_from("ab1-. é[*'"), max_size=5).map(lambda text: text and f"~{text}~")
CASES: st.SearchStrategy[Callable[[str], str]] = st.sampled_from([str.lower, str.upper, str.title])


@given(
    names=st.lists(NAMES, min_size=1, max_size=6, unique=True),
    prefix=AFFIX,
    underscores=st.sampled_from(["_", "__"]),
    day=st.dates(),
    suffix=AFFIX,
    extension=st.sampled_from([".csv", ".csv.gz", ".csv.zst"]),
    spelt=CASES,
)
def test_name_made_by_the_grammar_is_read_back(
    names: list[str], prefix: str, underscores: str, day: date, suffix: str, extension: str, spelt: Callable[[str], str]
) -> None:
    feeds = [feed(name) for name in names]
    own = feeds[0]
    rest = own.name.removeprefix(own.entity + "_")
    # %Y has no leading zeros on every platform.
    middle = f"{own.entity}{underscores}{rest}_{day.year:04}{day:%m%d}"
    file_name = prefix + spelt(middle) + suffix + spelt(extension)

    found = match_name(file_name, feeds)

    assert isinstance(found, NameMatch), found
    assert (found.feed, found.date, found.prefix, found.suffix) == (own, day, prefix, suffix)


@given(names=st.lists(NAMES, min_size=1, max_size=6, unique=True), first=st.integers(0, 5), second=st.integers(0, 5), junk=AFFIX)
def test_any_name_is_of_the_same_feed_however_the_feeds_are_ordered(names: list[str], first: int, second: int, junk: str) -> None:
    feeds = [feed(name) for name in names]
    assume(len(feeds) > 1)
    file_name = f"{names[first % len(names)]}_{junk}{names[second % len(names)]}_20220315_{names[0]}_20220316.csv"

    assert outcome_of(file_name, feeds) == outcome_of(file_name, list(reversed(feeds)))
