"""`dinmo profile`: a table and YAML for people, JSON for programs, refusals in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from .conftest import Dinmo

CONTACTS = "id;name;price\n007;a;1,50\n008;;2,25\n"


@pytest.fixture
def contacts(tmp_path: Path) -> Path:
    path = tmp_path / "contacts_shop_20240131.csv"
    path.write_text(CONTACTS)
    return path


def test_file_is_told_as_lines_and_a_feed_to_paste(contacts: Path, dinmo: Dinmo) -> None:
    done = dinmo("profile", contacts)
    told, _, feed = done.out.partition("\n\n")

    assert done.code == 0
    assert told.splitlines() == [
        "contacts_shop_20240131.csv: CSV, delimiter ;; 2 rows, all of it",
        "column\ttype\tnull\tdistinct\tmost often\tnote",
        "id\ttext\t0.0%\t2\t007\t",
        "name\ttext\t50.0%\t1\ta\t",
        "price\tnumber decimal comma\t0.0%\t2\t1,50\t",
        "key: id",
        "times: none",
    ]
    assert yaml.safe_load(feed) == {
        "type": "dinmo_pipeline.Feed",
        "attributes": {
            "inbox": "partner",
            "entity": "contacts",
            "source": "shop",
            "primary_key": ["id"],
            "delimiter": ";",
            "columns": {"price": {"type": "number", "decimal": ","}},
        },
    }


def test_programs_get_all_of_it(contacts: Path, dinmo: Dinmo) -> None:
    told = json.loads(dinmo("profile", contacts, "--json").out)

    assert (told["format"], told["delimiter"], told["rows"], told["whole_file"], told["keys"]) == ("csv", ";", 2, True, [["id"]])
    assert [(column["name"], column["type"], column["null_share"]) for column in told["columns"]] == [
        ("id", "text", 0.0),
        ("name", "text", 0.5),
        ("price", "number", 0.0),
    ]
    assert told["named"] == {"entity": "contacts", "source": "shop", "subsection": None}
    assert yaml.safe_load(told["feed"])["type"] == "dinmo_pipeline.Feed"


def test_what_would_be_rejected_is_warned_of(contacts: Path, dinmo: Dinmo) -> None:
    contacts.write_text(CONTACTS + "009;b\n")

    done = dinmo("profile", contacts)

    assert done.code == 0
    assert "an import would reject line 4" in done.err


def test_file_that_no_import_would_take_fails_with_the_reason(contacts: Path, dinmo: Dinmo) -> None:
    contacts.write_bytes("id;name\n1;é\n".encode("latin-1"))

    done = dinmo("profile", contacts)

    assert done.code == 1
    assert "is not utf-8" in done.err


def test_file_that_is_not_there_is_a_wrong_call(tmp_path: Path, dinmo: Dinmo) -> None:
    done = dinmo("profile", tmp_path / "no.csv")

    assert done.code == 2
    assert "there is no such file" in done.err
