"""What is said of a file that somebody sent, and the feed that is proposed for it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from dinmo_pipeline.inbound.profile.feed_yaml import NamedFeed, feed_yaml, named_feed
from dinmo_pipeline.inbound.profile.profile import SAMPLE_ROWS, Profile, profile_file
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboundColumn
from dinmo_pipeline.project.load import load_project

# The sample of the guidelines that partners are given.
GUIDELINES = """"id";"json";"text";"date";"bool";"number";"array"
"id_1";"{""name"":""Jean""}";"Hello";"2022-01-01 00:01:00";1;1.56;value1,value2
"id_2";"{""name"":""Michel""}";"Hi";"2022-01-31 19:01:00";;-5.8;value1
"id_3";"{""name"":""Marie""}";"Hola";"2022-01-31 07:01:00";0;99.156;
"""


def profile(folder: Path, content: str | bytes, name: str = "contacts_shop_20240131.csv") -> Profile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return profile_file(path)


def of_columns(folder: Path, columns: Mapping[str, Sequence[str | None]]) -> Profile:
    """The profile of a CSV file with these columns."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return profile(folder, text.getvalue())


def type_of(folder: Path, *values: str) -> InboundColumn:
    """The type that is proposed for a column of these values."""
    found = of_columns(folder, {"row": [f"r{number}" for number in range(len(values))], "x": values})
    return found.columns[1].type


def pasted(folder: Path, profiled: Profile) -> FeedSpec:
    """The proposed feed, as a project reads it."""
    (folder / "pyproject.toml").write_text("[tool.dinmo]\n")
    defs = folder / "defs" / "defs.yaml"
    defs.parent.mkdir()
    storage = "type: dinmo_pipeline.LocalFolder\nattributes: {name: drop, path: drop}\n"
    inbox = "type: dinmo_pipeline.Inbox\nattributes: {name: partner, storage: drop}\n"
    defs.write_text(f"{storage}---\n{inbox}---\n{feed_yaml(profiled)}", encoding="utf-8")
    (feed,) = load_project(folder).feeds.values()
    return feed


def test_sample_of_the_guidelines_gives_its_feed(tmp_path: Path) -> None:
    found = profile(tmp_path, GUIDELINES, "contacts_salesforce_20220315.csv")
    feed = pasted(tmp_path, found)

    assert (found.delimiter, found.rows, found.whole, found.rejected, found.warnings) == (";", 3, True, (), ())
    assert [column.nulls for column in found.columns] == [0, 0, 0, 0, 1, 0, 1]
    assert (feed.entity, feed.source, feed.subsection, feed.primary_key, feed.updated_at) == (
        "contacts",
        "salesforce",
        None,
        ("id",),
        "date",
    )
    assert {column.name: column.type for column in feed.columns} == {
        "json": "json",
        "date": "timestamp",
        "bool": "boolean",
        "number": "number",
        "array": "array",
    }


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["1", "22", "-3.50", "1.5e-05"], "number"),
        (["12345678901234567890123", "2"], "number"),
        (["1" * 39, "2"], "text"),
        (["007", "12"], "text"),
        (["+33612345678", "+33712345678"], "text"),
        (["12E4", "13E5"], "text"),
        (["1.234,50", "2,5"], "text"),
        (["1,234", "2,345"], "text"),
        (["1", "2", "n/a"], "text"),
        (["NaN", "1"], "text"),
        (["0", "1", "1"], "boolean"),
        (["1", "1", "1"], "number"),
        (["true", "FALSE"], "boolean"),
        (["true", "yes"], "text"),
        (["2024-01-31", "1999-12-01"], "date"),
        (["2024-01-31", "2024-01-31T10:00:00"], "date"),
        (["2024-01-31T10:00:00Z", "2024-01-31 10:00:00.123+02:00"], "timestamp"),
        (["2024-01-31", "2024-02-30"], "text"),
        (['{"a": 1}', "[1, {}]"], "json"),
        (['{"a": 1}', "{a}"], "text"),
        (["[]", '["a", "b"]'], "array"),
        (["red,blue", "red"], "array"),
        (["Doe,John", "Roe,Jane"], "text"),
        (["a, b", "a"], "text"),
        (["1", ""], "number"),
    ],
)
def test_type_is_one_that_every_value_converts_to(tmp_path: Path, values: list[str], type_: str) -> None:
    assert type_of(tmp_path, *values).type == type_


def test_decimal_comma_is_told(tmp_path: Path) -> None:
    assert type_of(tmp_path, "1,50", "-22", "0,125") == InboundColumn("x", "number", decimal=",")


@pytest.mark.parametrize(
    ("values", "type_", "format_"),
    [
        (["31/01/2024", "1/2/2024"], "date", "%d/%m/%Y"),
        (["01/31/2024", "02/01/2024"], "date", "%m/%d/%Y"),
        (["31/01/24", "01/02/24"], "date", "%d/%m/%y"),
        (["31.01.2024", "01.02.2024"], "date", "%d.%m.%Y"),
        (["2024/01/31", "2024/02/01"], "date", "%Y/%m/%d"),
        (["20240131", "20240201"], "date", "%Y%m%d"),
        (["31/01/2024 23:59", "01/02/2024 00:00"], "timestamp", "%d/%m/%Y %H:%M"),
        (["31-01-2024 23:59:01", "01-02-2024 00:00:00"], "timestamp", "%d-%m-%Y %H:%M:%S"),
    ],
)
def test_form_of_a_date_is_found(tmp_path: Path, values: list[str], type_: str, format_: str) -> None:
    assert type_of(tmp_path, *values) == InboundColumn("x", type_, format=format_)


def test_form_of_a_date_that_could_be_two_is_left_to_a_person(tmp_path: Path) -> None:
    found = of_columns(tmp_path, {"x": ["01/02/2024", "03/04/2024"]}).columns[0]

    assert found.type.type == "text"
    assert "%d/%m/%Y or as %m/%d/%Y" in str(found.guess.note)


def test_number_that_only_looks_like_dates_at_first_is_a_number(tmp_path: Path) -> None:
    assert type_of(tmp_path, "20240131", "20240132").type == "number"


def test_keys_are_unique_and_never_null_the_likeliest_first(tmp_path: Path) -> None:
    found = of_columns(
        tmp_path,
        {
            "name": ["a", "b", "c"],
            "price": ["1.5", "2.5", "3.5"],
            "with_null": ["a", None, "c"],
            "blank": ["a", " ", "c"],
            "twice": ["a", "a", "c"],
            "shop_id": ["3", "1", "2"],
        },
    )

    assert found.keys == (("shop_id",), ("name",))


def test_key_of_two_columns_is_found_where_no_single_one_is(tmp_path: Path) -> None:
    found = of_columns(tmp_path, {"kind": ["x", "x", "x", "x"], "line_no": list("1212"), "order_id": list("aabb"), "total": list("5555")})
    feed = pasted(tmp_path, found)

    assert found.keys == (("order_id", "line_no"),)
    assert feed.primary_key == ("order_id", "line_no")


def test_feed_without_a_key_says_so(tmp_path: Path) -> None:
    found = of_columns(tmp_path, {"a": ["1", "1"], "b": ["2", "2"]})

    assert found.keys == ()
    assert "primary_key: [a]  # no column, nor two of them, is unique" in feed_yaml(found)


def test_updated_at_is_proposed_where_its_name_says_so(tmp_path: Path) -> None:
    days = ["2024-01-31", "2024-02-01"]
    told = of_columns(tmp_path, {"id": ["1", "2"], "born": days, "Modified On": days})
    guessed = of_columns(tmp_path, {"id": ["1", "2"], "born": days})

    assert told.updated_at == ("modified_on", "born")
    assert yaml.safe_load(feed_yaml(told))["attributes"]["updated_at"] == "modified_on"
    assert "# updated_at: born" in feed_yaml(guessed)
    assert "updated_at" not in yaml.safe_load(feed_yaml(guessed))["attributes"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("contacts_salesforce_20220315.csv", NamedFeed("contacts", "salesforce", None)),
        ("contacts_prestashop_customers_20220315.csv", NamedFeed("contacts", "prestashop", "customers")),
        ("prod_Orders__POS_web_shop_20220315_v2.JSON.gz", NamedFeed("orders", "pos", "web_shop")),
        ("ordersitems_pos_20220315.ndjson", NamedFeed("ordersitems", "pos", None)),
        ("mycontacts_shop_20220315.csv", None),
        ("contacts_20220315.csv", None),
        ("sales.csv", None),
    ],
)
def test_file_name_tells_the_feed(name: str, expected: NamedFeed | None) -> None:
    assert named_feed(name) == expected


def test_feed_of_a_name_that_tells_nothing_can_be_pasted(tmp_path: Path) -> None:
    feed = pasted(tmp_path, profile(tmp_path, "Shop ID\tPrix\nà\t1,50\nb\t2,25\n", "sales extract.csv"))

    assert feed.csv is not None
    assert feed.csv.delimiter == "\t"
    assert feed.primary_key == ("shop_id",)
    assert feed.columns == (InboundColumn("prix", "number", decimal=","),)


@pytest.mark.parametrize("name", ["orders_pos_20240131.ndjson", "orders_pos_20240131.json.gz", "orders from somebody.txt"])
def test_json_is_profiled_too(tmp_path: Path, name: str) -> None:
    lines = "".join(json.dumps({"id": number, "tags": ["a"], "items": [{"n": 1}], "code": f"{number:03}"}) + "\n" for number in range(5))
    found = profile(tmp_path, gzip.compress(lines.encode()) if name.endswith(".gz") else lines, name)
    feed = pasted(tmp_path, found)

    assert (found.delimiter, found.rows, feed.csv, feed.primary_key) == (None, 5, None, ("id",))
    assert {column.name: column.type for column in feed.columns} == {"id": "number", "tags": "array", "items": "json"}


def test_sample_is_bounded(tmp_path: Path) -> None:
    rows = "".join(f"{number};x\n" for number in range(SAMPLE_ROWS + 50_000))
    found = profile(tmp_path, "id;name\n" + rows)

    assert (found.rows, found.whole) == (SAMPLE_ROWS, False)


def test_json_after_the_sample_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dinmo_pipeline.inbound.profile.profile.SAMPLE_BYTES", 1_000_000)
    good = ",".join(f'{{"id": {number}}}' for number in range(200_000))
    found = profile(tmp_path, f"[{good}, oh", "orders_pos_20240131.json")

    assert not found.whole
    assert 50_000 < found.rows <= 150_000


def test_what_an_import_would_reject_is_told(tmp_path: Path) -> None:
    found = profile(tmp_path, "id;name\n1;a\n2;b;c\n3;c\n")

    assert found.rows == 2
    assert [text.split(":")[0] for text in found.rejected] == ["line 3"]


def test_file_of_no_rows_has_no_types(tmp_path: Path) -> None:
    found = profile(tmp_path, "id;name\n")

    assert (found.rows, [column.type.type for column in found.columns], found.keys) == (0, ["text", "text"], ())
    assert yaml.safe_load(feed_yaml(found))["attributes"]["primary_key"] == ["id"]


def test_random_texts_are_never_given_a_type_that_one_of_them_has_not(tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(40):
        values = ["".join(chance.choice("0123456789-/.,: eE+T") for _ in range(chance.randrange(1, 11))) for _ in range(4)]
        found = type_of(tmp_path, *values)
        numbers = all(value.replace(".", "", 1).lstrip("-").isdigit() for value in values)
        assert found.type in (("number", "boolean", "date") if numbers else ("text", "array", "number")), values
        assert found.type != "number" or numbers or found.decimal == ",", values


def test_thousands_of_columns_are_looked_at_together(tmp_path: Path) -> None:
    numbers = {f"n{column}": [f"{row}.5" for row in range(3)] for column in range(990)}
    dates = {f"d{column}": ["31/01/2024", "01/02/2024", None] for column in range(990)}

    found = of_columns(tmp_path, {"id": ["a", "b", "c"], **numbers, **dates})

    assert [(column.type.type, column.type.format) for column in found.columns[1:]] == [
        *[("number", None)] * 990,
        *[("date", "%d/%m/%Y")] * 990,
    ]
    assert found.keys == (("id",),)
