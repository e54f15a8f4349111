"""Where a record stands in what was delivered: each record of each file is found where another reader of the file has it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

import pyarrow.parquet as pq
import pytest

from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.sync.explain import explain_record
from dinmo_pipeline.sync.service import SyncService

from ..people import activation, make_people, sync_people, write_people

from datetime import UTC, datetime, timedelta  # isort: skip

START = datetime(2025, 4, 14, tzinfo=UTC)
# Values that take several lines, or hold what frames a record.
NAMES = ("one", "two\nlines", 'three\r\n"quoted"\nlines', "", "\n", "a,b;c", "</row>\n<row>", "é\u2028x", "[\n{", "\r alone")
FIRST = tuple((number, NAMES[number % len(NAMES)], number % 3) for number in range(1, 10))
# Some change, some leave, some come.
SECOND = (*((number, name, age + (number % 4 == 0)) for number, name, age in FIRST if number % 5), (99, "new\nline", 1))
FORMATS = {
    "csv": "csv",
    "csv crlf": '{type: csv, line_ending: "\\r\\n", delimiter: ";", quoting: all}',
    "csv without header": "{type: csv, header: false, compression: gzip}",
    "csv utf-16": "{type: csv, encoding: utf-16}",
    "ndjson": "ndjson",
    "json": "json",
    "xml": "{type: xml, compression: gzip}",
    "parquet": "parquet",
}


def records(path: Path, kind: str) -> Iterator[tuple[int, str, int | None]]:
    """The number of each record of a file, its id, and the line on which it begins."""
    if kind == "parquet":
        yield from ((number, str(key), None) for number, key in enumerate(pq.read_table(path)["id"].to_pylist(), start=1))
        return
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    text = raw.decode("utf-16" if "utf-16" in kind else "utf-8")
    lines = text.split("\n")
    if kind.startswith("csv"):
        reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=";" if "crlf" in kind else ",")
        begins = 1
        for row in reader:
            if "id" not in row:
                yield 0, row[0], begins
            begins = reader.line_num + 1
    elif kind in ("ndjson", "json"):
        for number, line in enumerate(lines, start=1):
            if line.startswith("{"):
                yield 0, str(json.loads(line.rstrip(","))["id"]), number
    else:
        yield from xml_records(raw)


def xml_records(raw: bytes) -> Iterator[tuple[int, str, int | None]]:
    found: list[tuple[int, str, int | None]] = []
    parser, at, open_ids = expat.ParserCreate(), [0], [False]

    def start(name: str, _: object) -> None:
        at[0] = parser.CurrentLineNumber if name == "row" else at[0]
        open_ids[0] = name == "id"

    def text(data: str) -> None:
        if open_ids[0]:
            found.append((0, data, at[0]))

    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda _: open_ids.__setitem__(0, False)
    parser.Parse(raw, True)
    yield from found


@pytest.mark.parametrize(("kind", "mode"), [*((kind, "difference") for kind in FORMATS), ("csv", "upsert"), ("csv", "insert")])
def test_each_record_is_found_in_its_part_on_its_line(tmp_path: Path, kind: str, mode: str) -> None:
    root = make_people(tmp_path, activation("changes", sync_mode=mode, format=FORMATS[kind], max_rows="5"), people=FIRST)
    for day, people in enumerate((FIRST, SECOND)):
        write_people(root, people)
        sync_people(root, "changes", START + timedelta(days=day))
    project = load_project(root)
    spec = project.activations["changes"]
    state = SyncService(project, spec).state()
    checked = 0
    for sync in state.delivered:
        assert sync.export is not None
        for put in sync.export.puts:
            listed = [*records(root / "out" / put.path, kind)]
            for number, (_, key, line) in enumerate(listed, start=1):
                if number not in (1, len(listed)):
                    continue
                told = next(each for each in explain_record(project, spec, state, [key]).told if each.sync == sync.number)
                assert told.files == (put.path,)
                assert told.location is not None
                assert (told.location.record, told.location.line) == (number, line), (put.path, key)
                checked += 1
    assert checked


def test_record_of_which_a_file_has_two_has_no_place(tmp_path: Path) -> None:
    mapping = "{name: full name}"
    root = make_people(tmp_path, activation("changes", mapping=mapping), people=((1, "Ana", 1), (2, "Ana", 2), (3, "Bruno", 3)))
    sync_people(root, "changes", START)
    project = load_project(root)
    spec = project.activations["changes"]
    state = SyncService(project, spec).state()

    ana, bruno = (explain_record(project, spec, state, [key]).told[0] for key in ("1", "3"))

    assert (ana.location, len(ana.files)) == (None, 1)
    assert bruno.location is not None
    assert bruno.location.record == 3
