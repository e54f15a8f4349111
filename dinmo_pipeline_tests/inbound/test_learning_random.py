"""Only what is loaded teaches a feed, whatever good and bad files come, in whatever order and however many passes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from dinmo_pipeline.formats.csv.dialect import CsvDialect
from dinmo_pipeline.inbound.inbox.discovery import Arrival
from dinmo_pipeline.inbound.inbox.file_names import NameMatch
from dinmo_pipeline.inbound.inbox.scan_state import Fingerprint
from dinmo_pipeline.inbound.load.batch import Fetched, load_batch
from dinmo_pipeline.inbound.load.import_ledger import FileRecord, Outcome
from dinmo_pipeline.inbound.taking import open_feed_file
from dinmo_pipeline.project.inbound_specs import FeedSpec, InboundColumn
from dinmo_pipeline_tests.inbound.inboxes import NOW, LocalInbox, contacts
from dinmo_pipeline_tests.random_cases import CASES

Format = Literal["csv", "ndjson", "json"]
DAY = date(2024, 5, 1)
# Twenty digits after the point find no room beside 22 before it.
LONG, FINE, NOISE = "1234567890123456789012", "0.00000000000000000001", "0.1000000000000000055511151231257827"
KEYS = st.sampled_from(["1", "2", "3", "4"])
DATES = st.sampled_from([None, "2024-01-01", "2024-01-01 10:00:00"])
CHANGED = st.sampled_from([None, "2024-03-01 00:00:00", "2024-05-03 00:00:00", "2099-01-01 00:00:00"])
# What the good records of a file need: whatever a refused file, or a bad record, has of these must be as if it had never come.
NEEDS = st.sampled_from(["1.5", LONG, LONG, FINE, FINE, NOISE])
# What refuses a file: its end, its bytes, too many bad records, a declared column that is missing.
FAULTS = st.sampled_from([None, None, None, "quote", "bytes", "rejects", "rejects", "no v"])
BAD: tuple[dict[str, str | None], ...] = ({"v": "x"}, {"v": "01", "d": "tomorrow"}, {"id": None}, {"id": " "}, {"at": "now"})


@dataclass(frozen=True)
class Sent:
    """A file: its number tells its rows from others', its day is the one in its name; `fault` is what makes it unreadable."""

    number: int
    day: int
    columns: tuple[str, ...]
    records: tuple[dict[str, str | None], ...]
    fault: str | None

    def name(self, format_: Format) -> str:
        return f"contacts_shop_{DAY + timedelta(days=self.day):%Y%m%d}.{format_}"

    def content(self, format_: Format) -> bytes:
        """One record a line, the first on the second line, or on the first of NDJSON."""
        if format_ == "csv":
            lines = [";".join(self.columns)] + [";".join(value or "" for value in record.values()) for record in self.records]
            text = "".join(f"{line}\n" for line in lines)
            return text.encode() + {"quote": b'9;"x\n', "bytes": b"9;\xff\n", None: b""}[self.fault]
        listed = [json.dumps(record) for record in self.records]
        cut = {"quote": b'{"id":"9","v', "bytes": b'{"id":"\xff"}', None: b""}[self.fault]
        if format_ == "ndjson":
            return "".join(f"{line}\n" for line in listed).encode() + cut
        return ("[\n" + ",\n".join(listed)).encode() + (b",\n" if cut and listed else b"\n") + cut + b"]"

    def with_lines(self, lines: Iterable[int], format_: Format) -> Sent:
        """The same with those records alone that stand on these lines."""
        first = 1 if format_ == "ndjson" else 2
        return replace(self, records=tuple(self.records[line - first] for line in lines), fault=None)

    def lines(self, format_: Format) -> range:
        first = 1 if format_ == "ndjson" else 2
        return range(first, first + len(self.records))


@st.composite
def sent_files(draw: st.DrawFn, format_: Format) -> list[Sent]:
    """Three to six files in the order of their coming, each with a day of its own, some with the bytes of another one."""
    count = draw(st.integers(3, 6))
    files: list[Sent] = []
    for number, day in enumerate(draw(st.permutations(range(count)))):
        if files and draw(st.integers(0, 7)) == 0:
            files.append(replace(draw(st.sampled_from(files)), day=day))
            continue
        fault = draw(FAULTS)
        lacking = ("v",) if fault == "no v" else draw(st.sampled_from([(), (), (), (), ("x",), ("x", "y")]))
        columns = tuple(name for name in ("id", "n", "v", "d", "at", "x", "y") if name not in lacking)
        columns += draw(st.sampled_from([(), ("z",), ("z",), (f"z{number}",)]))
        needed = draw(NEEDS)
        records = [draw(_record(number, place, needed, columns, format_)) for place in range(draw(st.integers(1, 3)))]
        if fault == "rejects":
            records = [*records, *({**_usual(number, place, columns), "v": "x"} for place in range(len(records), 2 * len(records) + 1))]
        files.append(Sent(number, day, columns, tuple(records), fault if fault in ("quote", "bytes") else None))
    return files


@st.composite
def _record(draw: st.DrawFn, number: int, place: int, needed: str, columns: Sequence[str], format_: Format) -> dict[str, str | None]:
    record = {**_usual(number, place, columns), "v": needed, "d": draw(DATES), "at": draw(CHANGED)}
    # Of a row that another one replaces it depends on the passes whether its number still needs room: those that need much stay.
    if needed not in (LONG, FINE):
        record["id"] = draw(KEYS)
    odd = draw(st.integers(0, 5))
    if odd == 0:
        record |= draw(st.sampled_from(BAD))
    record = {name: record[name] for name in columns}
    if odd == 1 and format_ == "csv":
        record.popitem()
    elif odd <= 1 and format_ != "csv":
        record[f"odd{place}"] = "1"
    return record


def _usual(number: int, place: int, columns: Sequence[str]) -> dict[str, str | None]:
    values = {"id": f"{number}-{place}", "n": f"{number}-{place}", "v": "1.5", "d": None, "at": None}
    return {name: values.get(name, "text") for name in dict.fromkeys((*columns, "v", "d", "at"))}


def feed(load: Any, format_: Format) -> FeedSpec:
    columns = (InboundColumn("v", "number"), InboundColumn("d", "date"))
    csv = CsvDialect(delimiter=";") if format_ == "csv" else None
    optional = ("d", "at")
    return contacts(load=load, csv=csv, columns=columns, updated_at="at", optional=optional, max_rejected=1, max_rejected_share=0.5)


@dataclass
class Seen:
    """What became of files: their records in the order of arrival, and the table."""

    records: list[FileRecord]
    rejected: set[tuple[int, int]]
    columns: list[tuple[str, str]]
    rows: list[dict[str, Any]]

    @property
    def values(self) -> Counter[tuple[tuple[str, str], ...]]:
        """The rows by what is in them, without where it came from."""
        return Counter(
            tuple(sorted((name, _text(value)) for name, value in row.items() if value is not None and not name.startswith("_")))
            for row in self.rows
        )


def _text(value: object) -> str:
    # A column that was wider once stays so.
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def imported(load: str, format_: Format, passes: Iterable[Sequence[Sent]]) -> Seen:
    """What an empty feed makes of these files, those of each pass in this order."""
    spec = feed(load, format_)
    with TemporaryDirectory() as folder:
        inbox = LocalInbox(Path(folder), (spec,))
        # Without looks and moves, of which nothing is asked here: they take most of the time.
        records: list[FileRecord] = []
        for number, files in enumerate(list(passes) or [[]]):
            fetched = [_fetched(file, spec, inbox.drop(f"{number}-{file.name(format_)}", file.content(format_))) for file in files]
            loaded = load_batch(inbox.project, spec, fetched, opening=open_feed_file, target=lambda *_: None, stays=False, now=NOW)
            records += [record for record, _ in loaded]
        with duckdb.connect(str(inbox.project.warehouse_path), read_only=True) as connection:
            rejected = set(connection.execute("SELECT arrival, line FROM inbound.rejects").fetchall())
            if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'feeds'").fetchall():
                return Seen(records, rejected, [], [])
            columns = [(name, type_) for name, type_, *_ in connection.execute("DESCRIBE feeds.contacts_shop").fetchall()]
            rows = connection.execute("FROM feeds.contacts_shop ORDER BY _arrival, _line").fetchall()
        named = [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]
        # Those of ours stand where the table ended when it was made.
        return Seen(records, rejected, [column for column in columns if not column[0].startswith("_")], named)


def _fetched(file: Sent, spec: FeedSpec, path: Path) -> Fetched:
    content = path.read_bytes()
    name = path.name.partition("-")[2]
    match = NameMatch(spec, DAY + timedelta(days=file.day))
    return Fetched(Arrival("raw", name, Fingerprint(len(content), NOW), match), path, hashlib.sha256(content).hexdigest())


def divided(files: Sequence[Sent], data: st.DataObject) -> list[list[Sent]]:
    """The files in some number of passes, in their order."""
    passes: list[list[Sent]] = [[]]
    for file in files:
        apart: bool = data.draw(st.booleans(), label="a pass before it")
        if apart:
            passes.append([])
        passes[-1].append(file)
    return [each for each in passes if each]


LOADS = st.sampled_from(["merge", "append", "replace"])
FORMATS: st.SearchStrategy[Format] = st.sampled_from(["csv", "ndjson", "json"])


@given(load=LOADS, format_=FORMATS, data=st.data())
@settings(max_examples=int(4 * CASES))
def test_table_is_that_of_the_accepted_records_of_the_accepted_files(load: str, format_: Format, data: st.DataObject) -> None:
    files: list[Sent] = data.draw(sent_files(format_), label="files")
    seen = imported(load, format_, divided(files, data))

    by_name = {file.name(format_): file for file in files}
    accepted = []
    for record in seen.records:
        if record.outcome == Outcome.LOADED:
            file = by_name[record.name]
            good = [line for line in file.lines(format_) if (record.arrival, line) not in seen.rejected]
            kept = file.with_lines(good, format_)
            kept = replace(kept, records=tuple(each for each in kept.records if (each.get("id") or "").strip()))
            # Without records JSON has no columns, and an empty NDJSON file is refused.
            if kept.records or format_ == "csv":
                accepted.append(kept)
    again = imported(load, format_, [[file] for file in accepted])

    unknown = [(each.name, each.reason) for each in again.records if each.outcome not in (Outcome.LOADED, Outcome.REPEATED)]
    assert unknown == []
    assert again.rejected == set()
    assert seen.values == again.values
    if load != "replace" or format_ == "csv":
        assert seen.columns == again.columns


@given(load=LOADS, format_=FORMATS, data=st.data())
@settings(max_examples=int(16 * CASES))
def test_files_at_once_are_what_they_are_one_by_one(load: str, format_: Format, data: st.DataObject) -> None:
    files: list[Sent] = data.draw(sent_files(format_), label="files")
    if load == "replace":
        # What an older file had that comes after a newer one is unknown to that.
        files.sort(key=lambda file: file.day)
    at_once, in_turn = imported(load, format_, [files]), imported(load, format_, [[file] for file in files])

    if load == "replace":
        # Which files are outdated, and which columns others left behind, depends on the passes; an empty file waits beside a full table.
        blocked = any(record.outcome == Outcome.BLOCKED for record in in_turn.records)
        assert blocked or at_once.values == in_turn.values
        return
    told = [[(each.name, each.outcome, each.rejected, each.loaded, each.columns) for each in seen.records] for seen in (at_once, in_turn)]
    assert told[0] == told[1]
    assert (at_once.columns, at_once.rejected, at_once.rows) == (in_turn.columns, in_turn.rejected, in_turn.rows)


def test_same_bytes_under_an_older_date_are_recorded_alike_in_one_pass_and_in_the_next() -> None:
    files = [Sent(0, day, ("id", "v"), ({"id": "1", "v": "1"},), None) for day in (2, 1)]
    for passes in ([files], [[file] for file in files]):
        _, record = imported("merge", "csv", passes).records
        assert (record.outcome, record.columns, record.records) == (Outcome.REPEATED, (), 0)
