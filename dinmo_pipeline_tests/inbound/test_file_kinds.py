"""A file that is something else than its name says is refused with what it is, and with what to ask its sender for."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from dinmo_pipeline.inbound.load.import_ledger import Outcome

from .inboxes import LocalInbox

TEXT = b"id,age,updated_at\n1,30,2024-05-01\n"


def zipped(name: str) -> bytes:
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w") as archive:
        archive.writestr(name, "<x/>")
    return room.getvalue()


KINDS = {
    "web page": (
        b"\n<!DOCTYPE html>\n<html><head><title>502 Bad\n Gateway &amp; more</title></head></html>\n",
        ".csv",
        "it is a web page ('502 Bad Gateway & more'): the sender's own download failed; ask for the file again",
    ),
    "web page without a title": (b"<html>no</html>", ".csv", "it is a web page: the sender's own download failed; ask for the file again"),
    "workbook": (zipped("xl/workbook.xml"), ".csv", "it is an Excel workbook; ask for it saved as CSV, in UTF-8"),
    "zip": (zipped("contacts.csv"), ".csv", "it is a zip archive; ask for the file in it by itself, or packed with gzip"),
    "broken zip": (zipped("contacts.csv")[:40], ".csv", "it is a zip archive; ask for the file in it by itself, or packed with gzip"),
    "old workbook": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
        ".csv",
        "it is an old Excel workbook or another Office document; ask for it saved as CSV, in UTF-8",
    ),
    "text named gzip": (
        TEXT,
        ".csv.gz",
        "it is no gzip archive but text; ask for it packed, or without .gz at the end of its name",
    ),
    "gzip named text": (gzip.compress(TEXT), ".csv", "it is a gzip archive; ask for it with .gz at the end of its name"),
    "UTF-16": (
        TEXT.decode().encode("utf-16"),
        ".csv",
        "it is UTF-16; write `encoding: utf-16` in the feed, or ask for the file in UTF-8",
    ),
    "XML": (b'<?xml version="1.0"?>\n<rows/>\n', ".csv", "it is XML; ask for it as CSV or JSON"),
    "PDF": (b"%PDF-1.4\nx\n", ".csv", "it is a PDF document; ask for it as CSV"),
    "Parquet": (b"PAR1\x15\x04PAR1", ".csv", "it is a Parquet file; ask for it as CSV or JSON"),
}


@pytest.mark.parametrize(("content", "ending", "told"), KINDS.values(), ids=KINDS.keys())
def test_file_of_another_kind_is_refused_as_what_it_is(tmp_path: Path, content: bytes, ending: str, told: str) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop(f"contacts_shop_20240501{ending}", content)

    [record] = inbox.run()

    assert (record.outcome, record.reason) == (Outcome.REFUSED, told)
    [trouble] = inbox.open()
    assert trouble.reason == told


@pytest.mark.parametrize(
    ("content", "ending", "told"),
    [
        (gzip.compress(TEXT * 5000)[:-50], ".csv.gz", "damaged or cut off after"),
        (TEXT.replace(b"30", b"3\xe9"), ".csv", "is not utf-8"),
        (b"<key>;age\n1;2\n", ".csv", "the key column 'id' is missing"),
    ],
    ids=["archive that was cut off", "another encoding", "a header that looks like a tag"],
)
def test_file_that_is_what_its_name_says_keeps_its_own_reason(tmp_path: Path, content: bytes, ending: str, told: str) -> None:
    inbox = LocalInbox(tmp_path)
    inbox.drop(f"contacts_shop_20240501{ending}", content)

    [record] = inbox.run()

    assert record.outcome == Outcome.REFUSED
    assert told in str(record.reason)
