"""Listings as FTP servers write them: each line is read, or told, and none is dropped."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dinmo_pipeline.storages.ftp.listing import Entry, UnknownListing, UnreadLine, listed_entries, machine_entries, machine_entry

NOW = datetime(2026, 11, 29, 14, 0, tzinfo=UTC)
LEFT = "-rw-r--r--   1 shop     users    "


def read(line: str) -> Entry:
    entries = listed_entries([line], NOW)
    assert entries.unread == ()
    (entry,) = entries.found
    return entry


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "modified"),
    [
        # ls, vsftpd, proftpd, pure-ftpd, wu-ftpd: a time within six months, else the year.
        ("Nov 24 18:49", "2026-11-24 18:49"),
        ("Nov  4 18:49", "2026-11-04 18:49"),
        ("Dec 31 23:59", "2025-12-31 23:59"),
        ("Nov 30 10:00", "2026-11-30 10:00"),
        ("Mar 15  2025", "2025-03-15 00:00"),
        ("Feb 29 10:00", "2024-02-29 10:00"),
        ("Jan 01  1970", "1970-01-01 00:00"),
        ("Jan 15 10:00:05 2026", "2026-01-15 10:00:05"),
        # In other languages and orders.
        ("Mär 15 10:00", "2026-03-15 10:00"),
        ("15. Mär 10:00", "2026-03-15 10:00"),
        ("15. Mär  2025", "2025-03-15 00:00"),
        ("15 août  2025", "2025-08-15 00:00"),
        ("févr. 15 10:00", "2026-02-15 10:00"),
        ("juil. 15 10:00", "2026-07-15 10:00"),
        ("15 ene 10:00", "2026-01-15 10:00"),
        ("15 de dic 10:00", "2025-12-15 10:00"),
        ("paź 15 10:00", "2026-10-15 10:00"),
        ("15 sty 10:00", "2026-01-15 10:00"),
        ("lis 24 10.30", "2026-11-24 10:30"),
        ("mag 15 10:00", "2026-05-15 10:00"),
        ("Ağu 15 10:00", "2026-08-15 10:00"),
        ("май 15 10:00", "2026-05-15 10:00"),
        ("11月 24 18:49", "2026-11-24 18:49"),
        ("11月 24日 18:49", "2026-11-24 18:49"),
        ("12월 24  2025", "2025-12-24 00:00"),
        ("2026 márc 15", "2026-03-15 00:00"),
        # In numbers.
        ("2026-01-15 10:00", "2026-01-15 10:00"),
        ("2026-01-15 10:00:05.123456789 +0100", "2026-01-15 09:00:05"),
        ("2025-01-15 ", "2025-01-15 00:00"),
        ("01-15 10:00", "2026-01-15 10:00"),
        ("15.01.2026 10:00", "2026-01-15 10:00"),
        ("15.01. 10:00", "2026-01-15 10:00"),
        # A word that is no month of any known language, and days that are none: the file is there all the same.
        ("Xyz 15 10:00", None),
        ("Jun 31 10:00", None),
    ],
)
def test_date_in_any_language_and_order_is_read(date: str, modified: str | None) -> None:
    assert read(f"{LEFT}     7 {date} a.csv") == Entry("a.csv", "file", 7, at(modified) if modified else None)


@pytest.mark.parametrize(
    "left",
    [
        "-rw-r--r--   1 shop     Domain Users     ",
        "-rw-r--r--   1 DOM\\The Shop     Domain Users 5     ",
        "-rw-r--r--   1 Administrators 2 ",
        "-rw-r--r--+  1 1000 1000  ",
        "-rw-rw-r--.  1 1000 1000  ",
        "-rwsr-xr-t@ 12 may 20 ",
        "-rw-r--r--   1 shop  ",
        "-rw-r--r--   shop   users  ",
        "-rw-r--r-- 1 shop 50 ",
        "-rw-r--r--  ",
        "----------   1 owner    group  ",
        "- [RWCEAFMS] The Owner       ",
    ],
)
@pytest.mark.parametrize("size", [0, 7, 1999, 2048, 99_999_999_999_999])
def test_size_is_found_behind_any_owner_and_group(left: str, size: int) -> None:
    assert read(f"{left}{size} Jan 15 10:00 a.csv") == Entry("a.csv", "file", size, at("2026-01-15 10:00"))


@pytest.mark.parametrize(
    "name", [" lead.csv", "trail.csv ", "a -> b.csv", "12 Mar 15 10:00 b.csv", "a; b.csv", "größe 1.csv", "x\u00a0y\ty"]
)
def test_name_is_kept_as_it_is(name: str) -> None:
    assert read(f"{LEFT}7 Jan 15 10:00 {name}").name == name
    assert read(f"01-15-26  10:00AM                    7 {name}").name == name
    entry = machine_entry(f"type=file;size=7;UNIX.groupname=domain users; {name}")
    assert entry == Entry(name, "file", 7)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("01-15-26  10:00AM                   12 a.csv", Entry("a.csv", "file", 12, at("2026-01-15 10:00"))),
        ("01-15-26  12:05PM       <DIR>          in", Entry("in", "folder", None, at("2026-01-15 12:05"))),
        ("01-15-2026  10:00                   12 a.csv", Entry("a.csv", "file", 12, at("2026-01-15 10:00"))),
        ("2026-01-15  10:00                   12 a.csv", Entry("a.csv", "file", 12, at("2026-01-15 10:00"))),
        ("15.01.2026  10:00            1.234.567 a b.csv", Entry("a b.csv", "file", 1_234_567, at("2026-01-15 10:00"))),
        ("15/01/2026  10:00            1,234,567 a b.csv", Entry("a b.csv", "file", 1_234_567, at("2026-01-15 10:00"))),
        ("01-15-26  10:00AM       <SYMLINKD>     x", Entry("x", "unknown", None, at("2026-01-15 10:00"))),
        ("+i8388621.48594,m825718503,r,s280,\ta b.csv", Entry("a b.csv", "file", 280, at("1996-03-01 22:15:03"), is_exact=True)),
        ("+i8388621.50690,m824255907,/,\tin", Entry("in", "folder", None, at("1996-02-13 23:58:27"), is_exact=True)),
        (f"{LEFT}1.2K Jan 15 10:00 a.csv", Entry("a.csv", "file", None, at("2026-01-15 10:00"))),
        ("drwxr-xr-x 2 a b 4096 Jan 15 10:00 in", Entry("in", "folder", 4096, at("2026-01-15 10:00"))),
        ("crw-rw---- 1 a b 4, 64 Jan 15 10:00 tty", Entry("tty", "other", 64, at("2026-01-15 10:00"))),
        (
            "lrwxrwxrwx 1 a b 7 Jan 15 10:00 a -> b -> c",
            Entry("a", "link", 7, at("2026-01-15 10:00"), other_names=("a -> b", "a -> b -> c")),
        ),
        ("-rw-r--r-- 1 a b 7 M\udce4r 15 10:00 caf\udce9.csv", Entry(r"caf\xe9.csv", "file", 7, at("2026-03-15 10:00"))),
        ("-rw-r--r-- 1 a b 7 11\udcd4\udcc2 15 10:00 a.csv", Entry("a.csv", "file", 7, at("2026-11-15 10:00"))),
    ],
)
def test_line_of_another_server_is_read(line: str, entry: Entry) -> None:
    assert read(line) == entry


@pytest.mark.parametrize("total", ["total 12", "insgesamt 12", "总用量 12", "итого 12K", "合計 12", "razem 1,2M", "summa: 12"])
def test_sum_at_the_top_is_no_file(total: str) -> None:
    assert [entry.name for entry in listed_entries([total, f"{LEFT}7 Jan 15 10:00 a.csv", ""], NOW).found] == ["a.csv"]


UNREADABLE = [
    "ORDERS.CSV;1              2/18  15-JAN-2026 10:00:00  [SHOP]  (RWED,RE,,)",
    "QSYS            77824 02/23/00 15:09:55 *DIR       QOpenSys/",
    "WYOSPT 3420   2026/01/15  1  200  FB      80  8053  PS  48-MVS.FILE",
    "orders.csv",
    "orders 20260115.csv",
    "-rw-r--r-- orders.csv",
]


@pytest.mark.parametrize("line", UNREADABLE)
def test_line_that_cannot_be_read_is_told_and_the_others_are_used(line: str) -> None:
    entries = listed_entries([f"{LEFT}7 Jan 15 10:00 a.csv", line], NOW)
    assert [entry.name for entry in entries.found] == ["a.csv"]
    assert entries.unread == (f"{line!r}: the line is of no known form",)


@pytest.mark.parametrize("line", UNREADABLE)
def test_listing_of_which_nothing_can_be_read_is_an_error(line: str) -> None:
    own = [f"drwxr-xr-x 2 root root 4096 Jan 15 10:00 {name}" for name in (".", "..")]
    with pytest.raises(UnknownListing):
        listed_entries([*own, line], NOW)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("type=file;size=7;modify=20260115100000; a.csv", Entry("a.csv", "file", 7, at("2026-01-15 10:00"), is_exact=True)),
        ("TYPE=File;SIZE=7;Modify=20260115100000.123; a.csv", Entry("a.csv", "file", 7, at("2026-01-15 10:00"), is_exact=True)),
        ("Type=file;UNIX.groupname=domain users;Size=7; a.csv", Entry("a.csv", "file", 7)),
        ("Type=file;UNIX.ownername=a b;UNIX.groupname=domain users; a; b=c; d.csv", Entry("a; b=c; d.csv", "file")),
        ("type=file; a.csv", Entry("a.csv", "file")),
        ("type=file;size=7 a.csv", Entry("a.csv", "file", 7)),
        ("size=7; a.csv", Entry("a.csv", "unknown", 7)),
        (" a.csv", Entry("a.csv", "unknown")),
        ("type=file;size=7; /raw/a.csv", Entry("a.csv", "file", 7)),
        ("type=OS.unix=slink:/x y;size=7; a.csv", Entry("a.csv", "link", 7)),
        ("type=OS.unix=symlink;size=7; a.csv", Entry("a.csv", "link", 7)),
        ("Type=OS.UNIX=slink;Size=7; a.csv", Entry("a.csv", "link", 7)),
        ("type=OS.unix=chr-13/29; a", Entry("a", "other")),
        ("type=OS.other=thing; a", Entry("a", "unknown")),
        ("type=dir;sizd=4096; in", Entry("in", "folder")),
    ],
)
def test_facts_of_mlsd_are_read(line: str, entry: Entry) -> None:
    assert machine_entry(line) == entry


def test_line_of_mlsd_that_cannot_be_read_is_told() -> None:
    entries = machine_entries(["type=cdir; .", "type=file;size=7; a.csv", "nonsense", ""])
    assert [entry.name for entry in entries.found] == ["a.csv"]
    assert entries.unread == ("'nonsense': the line is of no known form",)
    with pytest.raises(UnreadLine):
        machine_entry("nonsense")
    with pytest.raises(UnknownListing):
        machine_entries(["type=cdir; .", "nonsense"])
