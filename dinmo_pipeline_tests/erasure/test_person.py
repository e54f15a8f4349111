"""Whose records they are: as a user writes it, in columns of any type, and as words of texts."""

from __future__ import annotations

import json

import duckdb
import pytest

from dinmo_pipeline.erasure.person import Column, Person
from dinmo_pipeline.errors import CallError

ANA = "ana.planted@example.com"


@pytest.mark.parametrize("text", ["", "C-42", "=C-42", "email=", "email"])
def test_description_that_is_none_is_told_without_its_value(text: str) -> None:
    with pytest.raises(CallError, match=r"description 2: it is none; write \[TABLE\.\]COLUMN=VALUE") as raised:
        Person.described([f"email={ANA}", text])
    assert "C-42 " not in str(raised.value).replace("customer_id=C-42", "")


def test_nobody_is_no_person() -> None:
    with pytest.raises(CallError):
        Person.described([])


def matches(text: str, values: dict[str, tuple[str, str]], tables: tuple[str, ...] = ("models.people",)) -> bool | None:
    """Whether the description fits a record with these columns: SQL and type each."""
    columns = {name: Column(f"CAST({sql} AS {type_text})", type_text) for name, (sql, type_text) in values.items()}
    condition = Person.described([text]).condition(tables, columns)
    return None if condition is None else bool(duckdb.connect().execute(f"SELECT {condition}").fetchall()[0][0])


@pytest.mark.parametrize(
    ("value", "sql", "type_text", "fits"),
    [
        ("42", "42", "INTEGER", True),
        ("42", "42", "DECIMAL(10,2)", True),
        ("42.0", "42", "HUGEINT", True),
        ("42", "'042'", "VARCHAR", False),
        # What a cast would round, or take for a number, names somebody else.
        *(
            (text, "42", type_text, False)
            for text in ("41.6", "042", "0x2a", "4.2e1", "4_2", " 42 ")
            for type_text in ("INTEGER", "DOUBLE", "DECIMAL(9,2)")
        ),
        ("42.004", "42", "DECIMAL(9,2)", False),
        ("42.00", "42", "DECIMAL(9,2)", True),
        ("-42.5", "-42.5", "DOUBLE", True),
        ("9007199254740993", "9007199254740992", "DOUBLE", False),
        ("2024-01-31 10:00:00", "'2024-01-31'", "DATE", False),
        ("1", "true", "BOOLEAN", False),
        ("42", "4242", "BIGINT", False),
        ("x", "42", "BIGINT", False),
        ("42", "NULL", "BIGINT", False),
        (ANA, f"'{ANA.upper()}'", "VARCHAR", False),
        ("it's = 'a' and b", "'it''s = ''a'' and b'", "VARCHAR", True),
        ("2024-01-31", "'2024-01-31'", "DATE", True),
        ("2024-01-31T10:00:00+01:00", "'2024-01-31 09:00:00+00'", "TIMESTAMP WITH TIME ZONE", True),
        ("b", "['a', 'b']", "VARCHAR[]", True),
        ("c", "['a', 'b']", "VARCHAR[]", False),
        ("7", "[7, 8]", "INTEGER[2]", True),
        ("b", """'"b"'""", "JSON", True),
        ("b", """'{"a": "b"}'""", "JSON", False),
        ("b", "{'a': 'b'}", "STRUCT(a VARCHAR)", False),
        ("6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b", "'6EC0BD7F-11C0-43DA-975E-2A8AD9EBAE0B'", "UUID", True),
    ],
)
def test_value_is_compared_as_the_column_means_it(value: str, sql: str, type_text: str, fits: bool) -> None:
    assert matches(f"id={value}", {"id": (sql, type_text)}) == fits


def test_columns_go_together_and_may_be_of_one_table() -> None:
    both = {"country": ("'FR'", "VARCHAR"), "id": ("7", "BIGINT")}
    assert matches("country=FR and id=7", both)
    assert matches("Country=FR AND ID=7", both)
    assert not matches("country=DE and id=7", both)
    assert matches("country=FR and id=7", {"id": ("7", "BIGINT")}) is None
    assert matches("models.people.id=7", both)
    assert matches("feeds.contacts_shop.id=7", both) is None
    assert matches("models.people.id=7", both, tables=("segments.lapsed", "models.people"))


@pytest.mark.parametrize("word", [ANA, "C-4711", "née d'Arc", "a.b*c(d)[e]\\f", "x y z", 'Zoë\t"Zed" \U0001f600'])
def test_words_are_emptied_in_texts_and_parts_of_words_are_not(word: str) -> None:
    person = Person.described([f"id={word}"])
    texts = {
        f"{word}": "(forgotten)",
        f"line 3: {word!s}, {word};{word}": "line 3: (forgotten), (forgotten);(forgotten)",
        f"{word},{word}": "(forgotten),(forgotten)",
        f"x{word}": f"x{word}",
        f"{word}9": f"{word}9",
        f"{word}é": f"{word}é",
        "nothing": "nothing",
        f"record {json.dumps({'id': word})}": 'record {"id": "(forgotten)"}',
        f"row {json.dumps(json.dumps([word]))}": 'row "[\\"(forgotten)\\"]"',
    }
    with duckdb.connect() as connection:
        for text, emptied in texts.items():
            assert (person.emptied(text), person.mentions(text)) == (emptied, emptied != text)
            found = connection.execute(
                f"SELECT {person.emptied_sql('t')}, {person.mentions_sql('t')} FROM (SELECT ? AS t)", [text]
            ).fetchall()
            assert found == [(emptied, emptied != text)]


def test_short_value_is_no_word() -> None:
    assert Person.described(["id=42", "n= 7 "]).words == ()
    assert Person.described(["id=42"]).mentions_sql("t") == "false"


def test_hundreds_of_people_at_once_are_one_query() -> None:
    person = Person.described([f'name=Zoë "{number}" Ünal' for number in range(300)])
    texts = '\'x Zoë "17" Ünal, Zoë "299" Ünal; Zoë "300" Ünal\''
    with duckdb.connect() as connection:
        query = f"SELECT {person.emptied_sql('t')}, {person.mentions_sql('t')} FROM (SELECT {texts} AS t)"
        assert connection.execute(query).fetchall() == [('x (forgotten), (forgotten); Zoë "300" Ünal', True)]
