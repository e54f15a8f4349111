"""Only what is loaded teaches a feed, whatever good and bad files come, in whatever order and however many passes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dinmo_pipeline.inbound.arrivals import Arrival
from dinmo_pipeline.inbound.loading import Fetched, load_batch
from dinmo_pipeline.inbound.looks import Sight
from dinmo_pipeline.inbound.names import NameMatch
from dinmo_pipeline.inbound.record import FileRecord, Outcome
from dinmo_pipeline.inbound.taking import open_feed_file
from dinmo_pipeline.project.specs import CsvDialect, FeedSpec, InboundColumn
from dinmo_pipeline_tests.inbound.inboxes import NOW, LocalInbox, contacts
from dinmo_pipeline_tests.sync.conftest import CASES

Format = Literal["csv", "ndjson", "json"]
DAY = date(2024, 5, 1)
# Twenty digits after the point find no room beside 22 before it.
LONG, FINE, NOISE = "1234567890123456789012", "0.00000000000000000001", "0.1000000000000000055511151231257827"
NUMBERS = st.sampled_from([None, "1", "1.5", "-20.25", LONG, FINE, NOISE, "01", "x"])
DATES = st.sampled_from([None, "2024-01-01", "2024-01-01 10:00:00", "tomorrow"])
CHANGED = st.sampled_from([None, "2024-03-01 00:00:00", "2024-05-03 00:00:00", "2099-01-01 00:00:00", "now"])
KEYS = st.sampled_from(["1", "2", "3", "4", None, " "])


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
    """Up to six files in the order of their coming, each with a day of its own, some with the bytes of another one."""
    count = draw(st.integers(2, 6))
    files: list[Sent] = []
    for number, day in enumerate(draw(st.permutations(range(count)))):
        if files and draw(st.integers(0, 4)) == 0:
            files.append(replace(draw(st.sampled_from(files)), day=day))
            continue
        lacking = draw(st.sampled_from([(), (), (), ("v",), ("id",), ("x",), ("x", "y"), ("y",)]))
        columns = tuple(name for name in ("id", "n", "v", "d", "at", "x", "y") if name not in lacking)
        columns += draw(st.sampled_from([(), (), (f"z{number}",), ("z",)]))
        places = range(draw(st.integers(0 if format_ == "csv" else 1, 4)))
        records = tuple(draw(_record(number, place, columns, format_)) for place in places)
        files.append(Sent(number, day, columns, records, draw(st.sampled_from([None, None, None, None, "quote", "bytes"]))))
    return files


@st.composite
def _record(draw: st.DrawFn, number: int, place: int, columns: Sequence[str], format_: Format) -> dict[str, str | None]:
    v = draw(NUMBERS)
    # Of a row that another one replaces it depends on the passes whether its number still needs room: those that need much stay.
    key = f"{number}-{place}" if v in (LONG, FINE) else draw(KEYS)
    values = {"id": key, "n": f"{number}-{place}", "v": v, "d": draw(DATES), "at": draw(CHANGED)}
    record = {name: values.get(name, "text") for name in columns}
    odd = draw(st.integers(0, 7))
    if odd == 0 and format_ == "csv":
        record.popitem()
    elif odd <= 1 and format_ != "csv":
        record |= {f"odd{place}": "1", "v": draw(NUMBERS)}
    return record


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
            tuple(sorted((name, str(value)) for name, value in row.items() if value is not None and not name.startswith("_")))
            for row in self.rows
        )


def imported(load: str, format_: Format, passes: Iterable[Sequence[Sent]]) -> Seen:
    """What an empty feed makes of these files, those of each pass in this order."""
    spec = feed(load, format_)
    with TemporaryDirectory() as folder:
        inbox = LocalInbox(Path(folder), (spec,))
        # Without looks and moves, of which nothing is asked here: they take most of the time.
        records: list[FileRecord] = []
        for number, files in enumerate([*passes, []]):
            fetched = [_fetched(file, spec, inbox.drop(f"{number}-{file.name(format_)}", file.content(format_))) for file in files]
            loaded = load_batch(inbox.project, spec, fetched, opening=open_feed_file, target=lambda *_: None, stays=False, now=NOW)
            records += [record for record, _ in loaded]
        rejected = {(arrival, line) for arrival, line in inbox.rows("SELECT arrival, line FROM inbound.rejects")}
        if not inbox.rows("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'feeds'"):
            return Seen(records, rejected, [], [])
        columns = [(name, type_) for name, type_, *_ in inbox.rows("DESCRIBE feeds.contacts_shop")]
        rows = inbox.rows("FROM feeds.contacts_shop ORDER BY ALL")
        named = [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]
        return Seen(records, rejected, columns, named)


def _fetched(file: Sent, spec: FeedSpec, path: Path) -> Fetched:
    content = path.read_bytes()
    name = path.name.partition("-")[2]
    match = NameMatch(spec, DAY + timedelta(days=file.day))
    return Fetched(Arrival("raw", name, Sight(len(content), NOW), match), path, hashlib.sha256(content).hexdigest())


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
@settings(max_examples=int(4 * CASES), deadline=None, suppress_health_check=list(HealthCheck))
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
@settings(max_examples=int(4 * CASES), deadline=None, suppress_health_check=list(HealthCheck))
def test_one_pass_and_several_are_alike(load: str, format_: Format, data: st.DataObject) -> None:
    files: list[Sent] = data.draw(sent_files(format_), label="files")
    if load == "replace":
        # What an older file had that comes after a newer one is unknown to that.
        files.sort(key=lambda file: file.day)
    at_once, in_turn = imported(load, format_, [files]), imported(load, format_, divided(files, data))

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
