"""What an import takes at every limit of `[tool.dinmo.limits]`: `python -m benchmarks.limits [NAME…]`.

Each limit has its default value, unless the table says what it was lowered to. Just below it a `dinmo import` works, just above it refuses:
each is a process of its own, whose memory and seconds of the processors are those of all processes that it starts. Where a server decides
how long it takes, the clock counts: those limits are measured at the same time as each other and as the rest. Ends with 1 when something
below a limit is refused or something above it is taken. For root: one of the limits needs a small disk.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise, repeat
from pathlib import Path

from benchmarks.minute import environment, program
from dinmo_pipeline.intake_limits import limit_words
from dinmo_pipeline_tests.servers.disks import small_folder
from dinmo_pipeline_tests.servers.lying_ftp import file_line, lying_ftp
from dinmo_pipeline_tests.servers.lying_http import Answer, lying_http
from dinmo_pipeline_tests.servers.running import HOST

_MIB = 1024 * 1024
_SAMPLE_S = 0.02
_DRIPS = 4
_HEADER, _ROW = "id,updated_at,age\n", "1,2024-01-30,31\n"
_FILE, _JSON_FILE = "contacts_shop_20240130.csv", "contacts_shop_20240130.ndjson"
_PAGE = b"<ListBucketResult/>"
_LOCAL = "type: dinmo_pipeline.LocalFolder\nattributes: {name: drop, path: drop}\n"
_FTP = "type: dinmo_pipeline.FtpServer\nattributes: {{name: drop, host: {host}, port: {port}, tls: none, retry_for: 0}}\n"
_S3 = """\
type: dinmo_pipeline.S3Bucket
attributes:
  {{name: drop, bucket: b, region: eu-west-3, endpoint_url: "{url}", access_key_id: k, secret_access_key: {{file: secret}}, retry_for: 0}}
"""
_INBOX = """\
---
type: dinmo_pipeline.Inbox
attributes: {{name: partner, storage: drop, settle_seconds: 0, after_import: leave}}
---
type: dinmo_pipeline.Feed
attributes: {{inbox: partner, entity: contacts, source: shop, primary_key: [id], updated_at: updated_at, warn_rejected: 100%{more}}}
"""
_CSV = ", columns: {age: number}"
_JSON = ", format: json"
_DEFAULTS = {name: default for name, default, _ in limit_words()}


@dataclass(frozen=True)
class Room:
    """A project of one limit, which is `limit` here; `above` says on which side of it the input is to be.

    `lasted` holds how many seconds the server sent for, until it had sent everything or the client hung up.
    """

    root: Path
    name: str
    limit: int
    above: bool
    lasted: list[float] = field(default_factory=list)

    def define(self, storage: str = _LOCAL, feed: str = _CSV, limits: Mapping[str, int] | None = None) -> None:
        """Write its definitions, with these limits besides its own where that is lowered."""
        (self.root / "defs").mkdir(exist_ok=True)
        for name in ("raw", "init"):
            (self.root / "drop" / name).mkdir(parents=True, exist_ok=True)
        (self.root / "secret").write_text("c2VjcmV0", encoding="utf-8")
        own = {self.name: self.limit} if self.limit != _DEFAULTS[self.name] else {}
        lines = "".join(f"{name} = {value}\n" for name, value in {**own, **(limits or {})}.items())
        (self.root / "pyproject.toml").write_text(f"[tool.dinmo]\n[tool.dinmo.limits]\n{lines}", encoding="utf-8")
        (self.root / "defs" / "defs.yaml").write_text(storage + _INBOX.format(more=feed), encoding="utf-8")

    def drop(self, *pieces: Iterable[str], name: str = _FILE) -> None:
        """Put a file into its inbox, piece by piece: what makes the input must stay small."""
        with (self.root / "drop" / "raw" / name).open("w", encoding="utf-8") as file:
            for each in pieces:
                file.writelines(each)

    def drip(self, first: bytes, piece: bytes) -> Iterator[bytes]:
        """Send that, and a piece `_DRIPS` times a second, almost as long as the limit or a little longer."""
        began = time.monotonic()
        for each in (first, *repeat(piece, self.drips)):
            # Recorded before each piece, because the client may hang up at any of them.
            self.lasted[:] = [time.monotonic() - began]
            yield each

    @property
    def drips(self) -> int:
        """How many pieces those are."""
        return _DRIPS * (self.limit * 21 // 20 if self.above else self.limit * 19 // 20)

    def import_before(self) -> None:
        """Run an import of the files in the inbox that is not measured."""
        subprocess.run([program("dinmo"), "import"], cwd=self.root, env=environment(), check=True, capture_output=True)


@dataclass(frozen=True)
class Case:
    """How a limit is measured: what the table says of both sides, and what makes the input.

    `lowered` is its value where the default cannot be reached in minutes. `by_clock`: a server decides how long it takes.
    """

    below: str
    above: str
    make: Callable[[Room], AbstractContextManager[object] | None]
    lowered: int | None = None
    by_clock: bool = False
    sides: tuple[bool, ...] = (False, True)


@dataclass(frozen=True)
class Measured:
    """One import: the most memory of its processes together, seconds, and what it said; of what drips, how long it did."""

    mebibytes: float
    cpu: float
    wall: float
    told: str


def reply_bytes(room: Room) -> Iterator[None]:
    line, end = b"220-" + b"x" * 1000 + b"\r\n", b"220 welcome\r\n"
    lines, rest = divmod(room.limit + room.above - len(end), len(line))
    greeting = line * (lines - 1) + b"220-" + b"x" * (len(line) + rest - 6) + b"\r\n" + end
    with lying_ftp(greeting=[greeting]) as server:
        room.define(_FTP.format(host=HOST, port=server.port))
        yield


def _bucket(room: Room, page: Callable[[], Answer], pause_s: float = 0.0, limits: Mapping[str, int] | None = None) -> Iterator[None]:
    """A bucket whose folder `raw` is answered so."""

    def answer(_method: str, path: str) -> Answer:
        return page() if "raw" in path else (200, {}, _PAGE)

    with lying_http(answer, pause_s) as liar:
        room.define(_S3.format(url=liar.url), limits=limits)
        yield


def answer_bytes(room: Room) -> Iterator[None]:
    begin, empty, end = b"<ListBucketResult>", b"<a/>", b"</ListBucketResult>"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    length = room.limit + room.above - len(head % room.limit)
    elements, spaces = divmod(length - len(begin) - len(end), len(empty))
    page = head % length + begin + empty * elements + b" " * spaces + end
    yield from _bucket(room, lambda: (0, {}, [page]))


def answer_seconds(room: Room) -> Iterator[None]:
    headers = {"Content-Length": str(len(_PAGE) + room.drips)}
    # The limit of a listing began earlier, and would end it first.
    yield from _bucket(room, lambda: (200, headers, room.drip(_PAGE, b" ")), 1 / _DRIPS, {"listing_seconds": 2 * room.limit})


def _listing(room: Room, lines: Iterable[bytes], pause_s: float = 0.0) -> Iterator[None]:
    with lying_ftp(listing=lines, pause_s=pause_s) as server:
        room.define(_FTP.format(host=HOST, port=server.port))
        yield


def listing_bytes(room: Room) -> Iterator[None]:
    entries = 400_000
    each = room.limit // entries
    facts = len(file_line("0000000.jpg"))
    lines = [file_line(f"{number:07}{'x' * (each - facts)}.jpg") for number in range(entries)]
    assert sum(map(len, lines)) == room.limit
    if room.above:
        lines[-1] = file_line(f"{entries:07}{'x' * (each - facts + 1)}.jpg")
    yield from _listing(room, [b"".join(lines)])


def listing_entries(room: Room) -> Iterator[None]:
    yield from _listing(room, [b"".join(file_line(f"picture_{number}.jpg") for number in range(room.limit + room.above))])


def listing_seconds(room: Room) -> Iterator[None]:
    line = file_line("picture.jpg")
    yield from _listing(room, room.drip(line, line), 1 / _DRIPS)


def seconds_per_megabyte(room: Room) -> Iterator[None]:
    header, row = _HEADER.encode(), _ROW.encode()
    yield from _file_on_ftp(room, room.drip(header, row), len(header) + len(row) * room.drips, 1 / _DRIPS)


def _file_on_ftp(room: Room, content: Iterable[bytes], size: int, pause_s: float = 0.0) -> Iterator[None]:
    listing = [file_line(_FILE, f"type=file;size={size};modify=20240130120000;")]
    answers = {"SIZE": [f"213 {size}\r\n".encode()]}
    with lying_ftp(listing=listing, content=content, answers=answers, pause_s=pause_s) as server:
        room.define(_FTP.format(host=HOST, port=server.port))
        yield


def free_disk_bytes(room: Room) -> Iterator[None]:
    content = [f"{_HEADER[:-1]},n\n".encode(), *repeat(f"{_ROW[:-1]},{'x' * 10_000}\n".encode(), 2000)]
    size = sum(map(len, content))
    home = room.root / ".dinmo"
    with small_folder(home, megabytes=400):
        home.chmod(0o700)
        room.define()
        # What an import makes for itself is there before the disk is filled.
        room.drop([_HEADER, _ROW], name="contacts_shop_20240101.csv")
        room.import_before()
        disk = os.statvfs(home)
        left = room.limit + size + (-1_000_000 if room.above else 5_000_000)
        with (home / "ballast").open("wb") as ballast:
            for _ in range((disk.f_bavail * disk.f_frsize - left) // _MIB):
                ballast.write(bytes(_MIB))
        yield from _file_on_ftp(room, content, size)


def unpacked_ratio(room: Room) -> None:
    room.define()
    path = room.root / "drop" / "raw" / f"{_FILE}.gz"
    rows = gzip.compress(_ROW.encode() * 65_536, 9)
    # Past what is never refused; the zeros that may follow an archive make its ratio.
    members = 275
    with path.open("wb") as file:
        file.write(gzip.compress(_HEADER.encode()))
        for _ in range(members):
            file.write(rows)
        content = len(_HEADER) + members * len(_ROW) * 65_536
        file.truncate(content // (room.limit + 1 if room.above else room.limit) + 1)


def _wide(names: Iterable[str], records: int = 100) -> list[str]:
    names = list(names)
    more = "".join(f",{name}" for name in names)
    return [f"{_HEADER[:-1]}{more}\n", *(f"{number},2024-01-30,31{',x' * len(names)}\n" for number in range(records))]


def file_columns(room: Room) -> None:
    room.define()
    room.drop(_wide(f"n{number}" for number in range(room.limit + room.above - 3)))


def feed_columns(room: Room) -> None:
    # The columns of the files before may be missing.
    room.define(feed=f"{_JSON}, optional: [{', '.join(f'n{number}' for number in range(2, room.limit))}]")
    # The last file brings as many as one may, and one more: adding columns to a wide table is what takes memory.
    most = _DEFAULTS["file_columns"] - 2
    last = room.limit - most + 1
    ends = [*range(last, 2, -most), 2][::-1]
    for day, (start, stop) in enumerate(pairwise([*ends, room.limit + room.above]), start=1):
        members = "".join(f', "n{number}": "x"' for number in range(start, stop))
        records = (f'{{"id": {number}, "updated_at": "2024-01-30"{members}}}\n' for number in range(100))
        room.drop(records, name=f"contacts_shop_2024010{day}.ndjson")
        if start != last:
            room.import_before()


def column_name_characters(room: Room) -> None:
    room.define()
    columns = _DEFAULTS["file_columns"] - 3
    room.drop(_wide(f"n{number}_".ljust(room.limit + room.above, "x") for number in range(columns)))


def json_levels(room: Room) -> None:
    room.define(feed=_JSON)
    # The record is a level, too.
    levels = room.limit + room.above - 1
    nested = f'"updated_at": "2024-01-30", "deep": {"[" * levels}{"]" * levels}}}\n'
    honest = '{"id": -1, "updated_at": "2024-01-30", "deep": []}\n'
    room.drop([honest], (f'{{"id": {number}, {nested}' for number in range(10_000)), name=_JSON_FILE)


def record_fields(room: Room) -> None:
    room.define()
    # They are counted where the record is longer than a block, a block at a time.
    room.drop([_HEADER, _ROW], repeat(f"{'x' * 39},", room.limit * 3 // 2 if room.above else room.limit - 1), ["\n"])


def record_bytes(room: Room) -> None:
    room.define()
    # They are counted a block at a time.
    megabytes = room.limit // _MIB
    room.drop([f"{_HEADER[:-1]},n\n{_ROW[:-1]},"], repeat("x" * _MIB, megabytes * 6 // 5 if room.above else megabytes - 6), ["\n"])


def rejected_records(room: Room) -> None:
    room.define(feed=f"{_CSV}, max_rejected: {2 * room.limit}")
    room.drop([_HEADER, _ROW], repeat("1\n", room.limit + room.above))


def file_records(room: Room) -> None:
    room.define()
    room.drop([_HEADER], (f"{number},2024-01-30,31\n" for number in range(room.limit + room.above)))


def file_seconds(room: Room) -> None:
    room.define()
    # More than a machine reads in that time, several times over.
    room.drop([_HEADER], repeat("12345678,2024-01-30,31\n" * 1000, 4000 * room.limit))


CASES = {
    "reply_bytes": Case("a greeting of an FTP server", "1 byte more", contextmanager(reply_bytes)),
    "answer_bytes": Case("a page of nothing but empty elements", "1 byte more", contextmanager(answer_bytes)),
    "answer_seconds": Case("a page of 570 s, `listing_seconds` doubled", "of 630 s", contextmanager(answer_seconds), by_clock=True),
    "listing_bytes": Case("400,000 files on FTP, long names", "1 byte more", contextmanager(listing_bytes)),
    "listing_entries": Case("files on FTP", "1 file more", contextmanager(listing_entries)),
    "listing_seconds": Case("a listing of 570 s", "of 630 s", contextmanager(listing_seconds), by_clock=True),
    "seconds_per_megabyte": Case("a small file of 114 s", "of 126 s", contextmanager(seconds_per_megabyte), by_clock=True),
    "free_disk_bytes": Case("a file of 20 MB, 5 MB to spare", "1 MB too little", contextmanager(free_disk_bytes)),
    "unpacked_ratio": Case("0.6 MB of CSV that become 288 MB, 18 million records of one key", "501 times", unpacked_ratio),
    "file_columns": Case("a CSV file of 100 records", "1 column more", file_columns),
    "feed_columns": Case("100 JSON records that bring the last 1,997 of them", "1 column more", feed_columns),
    "column_name_characters": Case("2,000 columns of such names", "1 character more", column_name_characters),
    "json_levels": Case("10,000 such records", "1 level more, each", json_levels),
    "record_fields": Case("a CSV record, 40 MB", "half as many more", record_fields),
    "record_bytes": Case("a CSV record of 250 MiB", "of 307 MiB", record_bytes),
    "rejected_records": Case("all but one of a CSV file's, `max_rejected` raised", "1 record more", rejected_records),
    "file_records": Case("a CSV file of three columns, each a key of its own", "1 record more", file_records, lowered=10_000_000),
    "file_seconds": Case("", "72 million records", file_seconds, lowered=18, sides=(True,)),
}


def main() -> None:
    """Measure the limits that are named, all by default, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a limit; all by default")
    names = parser.parse_args().names or list(CASES)
    if unknown := set(names) - set(CASES):
        parser.error(f"no such limit: {', '.join(sorted(unknown))}")
    found: dict[tuple[str, bool], Measured] = {}

    def measure(name: str, above: bool) -> None:
        found[name, above] = _measured(name, above=above)
        print(f"measured: {name} {'above' if above else 'below'}: {found[name, above]}", file=sys.stderr, flush=True)

    sides = [(name, above) for name in names for above in CASES[name].sides]
    waiting = [threading.Thread(target=measure, args=side) for side in sides if CASES[side[0]].by_clock]
    for thread in waiting:
        thread.start()
    for name, above in sides:
        if not CASES[name].by_clock:
            measure(name, above)
    for thread in waiting:
        thread.join()
    print("| limit | just below it | MiB | CPU s | just above it | MiB | CPU s | what is told |\n|---|---|---|---|---|---|---|---|")
    for name in names:
        print(_row(name, found))
    wrong = [(name, above) for name, above in sides if not _is_as_expected(name, found[name, above].told, above=above)]
    for name, above in wrong:
        print(f"{name}, {'above' if above else 'below'}: {found[name, above].told}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


def _is_as_expected(name: str, told: str, *, above: bool) -> bool:
    """Whether it is refused for that limit above it, and for nothing below it."""
    return name in told if above else re.search(r"could not|refused|rejected;|Traceback", told) is None


def _measured(name: str, *, above: bool) -> Measured:
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        room = Room(root, name, case.lowered or _DEFAULTS[name], above)
        with case.make(room) or nullcontext():
            measured = _import(root)
    return replace(measured, wall=room.lasted[0]) if room.lasted else measured


def _import(root: Path) -> Measured:
    """Run `dinmo import`; its memory is looked at so often that hardly a child is missed, and the kernel keeps its own peak."""
    began, peak = time.monotonic(), 0
    with (root / "told").open("wb") as told:
        process = subprocess.Popen([program("dinmo"), "import"], cwd=root, env=environment(), stdout=told, stderr=subprocess.STDOUT)
    while True:
        # Not `Popen.wait`: the kernel gives a child's CPU time only to the call that reaps it.
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        peak = max(peak, _kibibytes(process.pid))
        time.sleep(_SAMPLE_S)
    process.returncode = os.waitstatus_to_exitcode(status)
    text = (root / "told").read_text(encoding="utf-8")
    return Measured(peak / 1024, used.ru_utime + used.ru_stime, time.monotonic() - began, text)


def _kibibytes(pid: int) -> int:
    """What the process and those that it started hold, or what it held alone at its peak."""
    tree = [_status(each) for each in _tree(pid)]
    # Before it runs a program of its own, a child may be in its parent's memory, which the same numbers show.
    held = {(peak, most, now) for peak, most, now in tree}
    return max(sum(now for _, _, now in held), tree[0][1] if tree else 0)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        # It ended meanwhile.
        return
    for child in " ".join(children).split():
        yield from _tree(int(child))


def _status(pid: int) -> tuple[int, int, int]:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0, 0, 0
    found = dict(re.findall(r"^(VmPeak|VmHWM|VmRSS):\s+(\d+)", text, re.MULTILINE))
    return int(found.get("VmPeak", 0)), int(found.get("VmHWM", 0)), int(found.get("VmRSS", 0))


def _row(name: str, found: dict[tuple[str, bool], Measured]) -> str:
    case = CASES[name]
    limit = f"`{name}` {case.lowered or _DEFAULTS[name]:,}"
    if case.lowered is not None:
        limit += f", 1/{_DEFAULTS[name] // case.lowered} of it"
    below, above = (_figures(found.get((name, side)), by_clock=case.by_clock or name.endswith("seconds")) for side in (False, True))
    return f"| {limit} | {case.below or '-'} | {below} | {case.above} | {above} | {found_beyond(name, found[name, True].told)} |"


def _figures(measured: Measured | None, *, by_clock: bool) -> str:
    if measured is None:
        return "- | -"
    clock = f", {measured.wall:.0f} by the clock" if by_clock else ""
    return f"{measured.mebibytes:,.0f} | {measured.cpu:.0f}{clock}"


def found_beyond(name: str, text: str) -> str:
    """What the first line that names the limit says was found: without the file before it, and the advice behind it."""
    line = next((line for line in text.splitlines() if name in line), "nothing")
    found = re.sub(r"^.*?(refused: |\(storage drop\): )", "", line)
    found = re.sub(r"^contacts_shop_\S+[,:] (line \d+: )?", "", found)
    return re.split(r"; (?!the first, )|\. |: ask |: '", found)[0]


if __name__ == "__main__":
    main()
