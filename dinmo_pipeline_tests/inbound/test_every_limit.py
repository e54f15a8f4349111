"""Every limit of the table, at its edge: what is just below is taken, what is just above is refused with the number and the name.

A limit without a case fails. The limits are lowered here; what they cost as they are by default stands in docs/operations.md.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dinmo_pipeline.errors import StorageError
from dinmo_pipeline.formats import decode as text
from dinmo_pipeline.formats.decompress import open_plain
from dinmo_pipeline.formats.reader import FileRefused
from dinmo_pipeline.inbound.load.import_ledger import Outcome
from dinmo_pipeline.intake_limits import IntakeLimits, limit_words, read_limits
from dinmo_pipeline.storages.local.spec import LocalFolderSpec
from dinmo_pipeline_tests.inbound.inboxes import LocalInbox, contacts
from dinmo_pipeline_tests.servers.gcs import token_server
from dinmo_pipeline_tests.servers.lying_ftp import dripping, file_line, lying_ftp
from dinmo_pipeline_tests.servers.lying_http import Answer, lying_http
from dinmo_pipeline_tests.storages.definitions import store_spec
from dinmo_pipeline_tests.storages.test_lying_servers import set_limits, spec

HEADER = "id,updated_at,age\n"
ROW = "1,2024-01-30,31\n"
PAGE = b"<ListBucketResult/>"
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Edge:
    """The limit set to `limit`, in a project of its own; `more` is 0 at the limit and 1 above it."""

    name: str
    root: Path
    more: int
    monkeypatch: pytest.MonkeyPatch

    def set(self, limit: int) -> None:
        """Set the limit for this project."""
        set_limits(self.root, **{self.name: limit})

    def load(self, content: str, *, before: str | None = None, name: str = "contacts_shop_20240130.csv", rejected: int = 20) -> str | None:
        """Load a file, after the one `before`; why it is refused, or None."""
        feed = contacts() if name.endswith(".csv") else contacts(columns=(), csv=None)
        made = LocalInbox(self.root, feeds=(replace(feed, max_rejected=rejected),))
        made.project = replace(made.project, limits=read_limits(self.root))
        if before is not None:
            made.drop("contacts_shop_20240101.csv", before)
            assert [record.outcome for record in made.run()] == [Outcome.LOADED]
        made.drop(name, content)
        [record] = made.run()
        return None if record.outcome == Outcome.LOADED else record.reason or ""


def reply_bytes(edge: Edge) -> None:
    edge.set(1000)
    end = b"220 welcome\r\n"
    greeting = b"220-" + b"x" * (1000 + edge.more - 4 - 2 - len(end)) + b"\r\n"
    with lying_ftp(greeting=[greeting, end]) as server, spec(server).connect(edge.root):
        pass


def answer(edge: Edge, pieces: Callable[[str, str], Answer], pause_s: float = 0.0) -> None:
    """List a bucket of S3 that answers so."""
    with (
        token_server() as tokens,
        lying_http(pieces, pause_s) as liar,
        store_spec("s3", liar.url, tokens, edge.root).connect(edge.root) as storage,
    ):
        assert storage.list("raw") == []


def answer_bytes(edge: Edge) -> None:
    edge.set(1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    length = 1000 + edge.more - len(head % 900)
    whole = head % length + PAGE + b" " * (length - len(PAGE))
    assert len(whole) == 1000 + edge.more
    answer(edge, lambda *_: (0, {}, [whole]))


def answer_seconds(edge: Edge) -> None:
    edge.set(1)
    answer(edge, lambda *_: (200, {"Content-Length": "40"}, [PAGE, *dripping(b" " * 21)]), pause_s=0.02 + 0.06 * edge.more)


def listing_bytes(edge: Edge) -> None:
    line = file_line("a.csv")
    edge.set(10 * len(line) - edge.more)
    with lying_ftp(listing=[line] * 10) as server, spec(server).connect(edge.root) as storage:
        assert len(storage.list("raw")) == 10


def listing_entries(edge: Edge) -> None:
    edge.set(10)
    for number in range(9 + edge.more):
        (edge.root / "out" / f"folder {number}").mkdir(parents=True)
    (edge.root / "out" / "a.csv").touch()
    with LocalFolderSpec(name="out", path="out").connect(edge.root) as storage:
        assert len(storage.list(".")) == 1


def listing_seconds(edge: Edge) -> None:
    edge.set(1)
    lines = [file_line("a.csv")] * 20
    with lying_ftp(listing=lines, pause_s=0.02 + 0.06 * edge.more) as server, spec(server).connect(edge.root) as storage:
        assert len(storage.list("raw")) == 20


def seconds_per_megabyte(edge: Edge) -> None:
    edge.set(1)
    content = dripping(b"id\n1234567890123456")
    size = {"SIZE": [b"213 19\r\n"]}
    with lying_ftp(content=content, answers=size, pause_s=0.02 + 0.08 * edge.more) as server, spec(server).connect(edge.root) as storage:
        storage.read_listed("a.csv", edge.root / "copy", 19)


def free_disk_bytes(edge: Edge) -> None:
    disk = os.statvfs(edge.root)
    # Others write on this disk, too.
    edge.set(disk.f_bavail * disk.f_frsize + (500 * _MIB if edge.more else -500 * _MIB))
    with lying_ftp() as server, spec(server).connect(edge.root) as storage:
        storage.read("a.csv", edge.root / "copy")


def unpacked_ratio(edge: Edge) -> None:
    path = edge.root / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"1;2\n" * 250_000, 9) * 280)
    ratio = 280_000_000 // path.stat().st_size
    with open_plain(path, IntakeLimits(unpacked_ratio=ratio + 1 - edge.more)) as stream:
        while stream.read(_MIB):
            pass


def wide(columns: int) -> str:
    """A file of so many columns."""
    names = ["id", "updated_at", "age", *(f"n{number}" for number in range(columns - 3))]
    return f"{','.join(names)}\n1,2024-01-30,31{',x' * (columns - 3)}\n"


def file_columns(edge: Edge) -> str | None:
    edge.set(10)
    return edge.load(wide(10 + edge.more))


def feed_columns(edge: Edge) -> str | None:
    edge.set(10)
    return edge.load(wide(10 + edge.more), before=wide(7))


def column_name_characters(edge: Edge) -> str | None:
    edge.set(20)
    return edge.load(f"id,updated_at,age,{'n' * (20 + edge.more)}\n1,2024-01-30,31,x\n")


def json_levels(edge: Edge) -> str | None:
    edge.set(20)
    levels = 19 + edge.more
    nested = f'{{"id": 1, "updated_at": "2024-01-30", "deep": {"[" * levels}{"]" * levels}}}\n'
    honest = '{"id": 2, "updated_at": "2024-01-30", "deep": []}\n' * 9
    return edge.load(honest + nested, name="contacts_shop_20240130.ndjson", rejected=0)


def record_fields(edge: Edge) -> str | None:
    # Fields are counted where a record is longer than a block: only such a one takes much memory.
    edge.set(10_000_000 if edge.more else 30_000_001)
    return edge.load(HEADER + ROW + "," * 30_000_000 + "\n")


def record_bytes(edge: Edge) -> str | None:
    # As with fields; a block more or less is no matter.
    edge.set(20_000_000 if edge.more else 40_000_100)
    return edge.load(f"{HEADER[:-1]},n\n{ROW[:-1]},{'x' * 40_000_000}\n")


def rejected_records(edge: Edge) -> str | None:
    edge.set(10)
    return edge.load(HEADER + ROW + "1\n" * (10 + edge.more))


def file_records(edge: Edge) -> str | None:
    edge.set(10)
    return edge.load(HEADER + ROW * (10 + edge.more))


def file_seconds(edge: Edge) -> str | None:
    edge.set(5)
    now = [0.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            now[0] += 1
            return now[0]

    # Time passes with each block that is read: the machine's own would make the test depend on its speed.
    edge.monkeypatch.setattr(text, "time", Clock)
    return edge.load(HEADER + ROW * (1_000_000 if edge.more else 10))


CASES: dict[str, Callable[[Edge], str | None]] = {
    case.__name__: case
    for case in (
        *(reply_bytes, answer_bytes, answer_seconds, listing_bytes, listing_entries, listing_seconds, seconds_per_megabyte),
        *(free_disk_bytes, unpacked_ratio, file_columns, feed_columns, column_name_characters, json_levels, record_fields),
        *(record_bytes, rejected_records, file_records, file_seconds),
    )
}


@pytest.fixture
def edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Edge]:
    def edge(name: str, more: int) -> Edge:
        root = tmp_path / f"{name} {more}"
        root.mkdir()
        return Edge(name, root, more, monkeypatch)

    return edge


def told_of(case: Callable[[Edge], str | None], edge: Edge) -> str | None:
    """Why that is refused, or None."""
    try:
        return case(edge)
    except (StorageError, FileRefused) as error:
        return str(error)


@pytest.mark.parametrize("name", [name for name, _, _ in limit_words()])
def test_what_is_just_below_is_taken_and_what_is_above_is_refused(name: str, edges: Callable[[str, int], Edge]) -> None:
    assert name in CASES, f"the limit {name} has no case here"
    assert told_of(CASES[name], edges(name, 0)) is None
    above = edges(name, 1)
    told = told_of(CASES[name], above)
    assert told is not None
    assert name in told
    # Where the ratio is given to the reader itself.
    limit = getattr(read_limits(above.root), name) if name != "unpacked_ratio" else None
    assert limit is None or f"{limit:,}" in told
    assert len(told) < 1000


def test_no_case_is_of_a_limit_that_is_gone() -> None:
    assert set(CASES) == {name for name, _, _ in limit_words()}
