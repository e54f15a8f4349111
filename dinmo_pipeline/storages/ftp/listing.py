"""What FTP servers answer when asked for files: the facts of MLST and MLSD, and the listings that are made for people."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dinmo_pipeline.storages.base import unread_line
from dinmo_pipeline.storages.ftp.dates import DATE, month_of, parse_date, words_of


@dataclass(frozen=True)
class Entry:
    """One line of a listing; `kind` is file, folder, link, other or unknown; size and time are None where they are not told.

    `is_exact`: the time is to the second, and in UTC. `other_names`: what else a link may be called, because ` -> ` stands
    more than once in its line.
    """

    name: str
    kind: str
    size: int | None = None
    modified: datetime | None = None
    is_exact: bool = False
    other_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that it may have, the likeliest first."""
        return (self.name, *self.other_names)


@dataclass(frozen=True)
class Entries:
    """A listing as it was read; `unread` are the lines that nobody could read, each with the reason."""

    found: tuple[Entry, ...]
    unread: tuple[str, ...] = ()
    is_missing: bool = False


class UnknownListing(ValueError):
    """A listing in a form that is not known; holds its first line."""


class UnreadLine(ValueError):
    """A line that may tell of a file and cannot be read."""


UNKNOWN_FORM = "the line is of no known form"

_MACHINE_KINDS = {"file": "file", "dir": "folder", "slink": "link", "symlink": "link", "link": "link"}
_NO_FILES = {"chr", "blk", "block", "char", "fifo", "pipe", "sock", "socket", "door"}
# RFC 3659: each fact ends with a semicolon, the last one as well, and one space stands before the name. Values may hold spaces.
_FACTS = re.compile(r"((?:[\w.+/-]+=[^;]*;)*) (.+)", re.DOTALL)
_FACTS_LEFT_OPEN = re.compile(r"((?:[\w.+/-]+=[^; ]*;)*[\w.+/-]+=[^; ]*) (.+)", re.DOTALL)
_UNIX_KINDS = {"-": "file", "d": "folder", "l": "link", "?": "unknown"}
# `-rw-r--r--    1 1000     1000           12 Nov 24 18:49 name`; NetWare shows rights as `[RWCEAFMS]`.
_UNIX = re.compile(r"([-dlbcpsDMPn?])(?:[-rwxsStTlLi?]{9}[+@.*]?|\s*\[[-A-Za-z]{8}\])(?=[\s\d])(.*)", re.DOTALL)
_SIZE_AND_DATE = re.compile(rf"(?=(?<!\S)(\d+|\d[\d.,]*[KMGTP]?i?B?)\s+({DATE}) (.+))", re.DOTALL)
# `11-24-26  06:49PM                   12 name`
_WINDOWS = re.compile(
    r"(\d{1,4}[-./]\d{1,2}[-./]\d{2,4}\.?\s+\d{1,2}[:.]\d{2}(?::\d{2})?(?:\s?[AaPp][Mm]?)?)\s+"
    r"(?:<([A-Za-z]+)>\s+|(\d[\d.,'\u00a0\u202f]*) )(.+)",
    re.DOTALL,
)
# `+i8388621.48594,m825718503,r,s280,<tab>name`
_EPLF = re.compile(r"\+([^\t]*)\t(.+)", re.DOTALL)
# `total 12`, in any language: only the first line may be it, and no file's line has a word and a number alone.
_TOTAL = re.compile(r"[^\d\s][^\d]*\s*\d[\d.,]*\w{0,2}\s*")
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_YEAR_FIRST = re.compile(r"\d{4}")
_LINK_MARK = " -> "


def machine_entry(line: str) -> Entry | None:
    """Return one line of MLSD or MLST; None for the folder itself and the one above it. UnreadLine when it is none."""
    found = _FACTS.fullmatch(line) or _FACTS_LEFT_OPEN.fullmatch(line)
    if found is None:
        raise UnreadLine(UNKNOWN_FORM)
    facts = {key.lower(): value for key, _, value in (fact.partition("=") for fact in found[1].split(";"))}
    # The type of a link names its target behind a colon.
    kind = facts.get("type", "").lower().partition(":")[0].strip()
    if kind in {"cdir", "pdir"}:
        return None
    plain = kind.rpartition("=")[2].partition("-")[0]
    size, modified = facts.get("size", "").strip(), timestamp(facts.get("modify", "").strip())
    return Entry(
        # Some servers give the path, which no name holds.
        name=_readable(posixpath.basename(found[2]) or found[2]),
        kind="other" if plain in _NO_FILES else _MACHINE_KINDS.get(plain, "unknown"),
        size=number(size),
        modified=modified,
        is_exact=modified is not None,
    )


def machine_entries(lines: Iterable[str]) -> Entries:
    """Return the entries of an MLSD; raises UnknownListing when not one line can be read.

    Lines are decoded with `surrogateescape`, here and below.
    """
    return _read(lines, lambda line: [] if (entry := machine_entry(line)) is None else [entry])


def listed_entries(lines: Iterable[str], now: datetime) -> Entries:
    """Return the entries of a LIST, as Unix and Windows servers write it; raises UnknownListing when not one line can be read."""
    given = [line for line in lines if line.strip()]
    if given and _TOTAL.fullmatch(given[0]) and " " in given[0].strip():
        del given[0]
    return _read(given, lambda line: [_listed_entry(line, now)])


def number(text: str) -> int | None:
    """Return the number that a server tells; None when it is none, or one that no file system has."""
    return int(text) if _NUMBER.fullmatch(text) else None


def timestamp(text: str) -> datetime | None:
    """Return the instant of `modify` and MDTM, which is UTC; None when it is none."""
    try:
        return datetime.strptime(text.partition(".")[0], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _read(lines: Iterable[str], read: Callable[[str], Iterable[Entry]]) -> Entries:
    found: list[Entry] = []
    unread: list[tuple[str, str]] = []
    for line in lines:
        try:
            found += read(line) if line.strip() else ()
        except UnreadLine as error:
            unread.append((line, str(error)))
    # Every folder has these two: that they can be read tells nothing of the others.
    found = [entry for entry in found if entry.name not in {".", ".."}]
    if unread and not found:
        raise UnknownListing(unread[0][0])
    return Entries(tuple(found), tuple(unread_line(*each) for each in unread))


def _listed_entry(line: str, now: datetime) -> Entry:
    if unix := _UNIX.fullmatch(line):
        return _unix_entry(unix[1], unix[2], now)
    if windows := _WINDOWS.fullmatch(line):
        when, mark, size, name = windows.groups()
        # Of what is neither a folder nor a file nothing is known but its name: a link of one of several kinds.
        kind = "file" if mark is None else "folder" if mark.upper() == "DIR" else "unknown"
        digits = re.sub(r"\D", "", size or "")
        return Entry(name=_readable(name), kind=kind, size=number(digits), modified=parse_date(when, now))
    if eplf := _EPLF.fullmatch(line):
        return _eplf_entry({fact[:1]: fact[1:] for fact in eplf[1].split(",")}, eplf[2])
    raise UnreadLine(UNKNOWN_FORM)


def _eplf_entry(facts: Mapping[str, str], name: str) -> Entry:
    size, seconds = facts.get("s", ""), facts.get("m", "")
    modified = _instant(number(seconds))
    return Entry(
        name=_readable(name),
        kind="folder" if "/" in facts else "file" if "r" in facts else "other",
        size=number(size),
        modified=modified,
        is_exact=modified is not None,
    )


def _instant(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _unix_entry(mark: str, rest: str, now: datetime) -> Entry:
    best = None
    for found in _SIZE_AND_DATE.finditer(rest):
        if best is not None and found.start() >= best.start(3):
            # What stands in the name is no date of the file.
            break
        if best is None or _likelihood(rest, found) > _likelihood(rest, best):
            best = found
    if best is None:
        raise UnreadLine(UNKNOWN_FORM)
    size, when, name = best.groups()
    kind = _UNIX_KINDS.get(mark, "other")
    first, *others = _link_names(_readable(name)) if kind == "link" else [_readable(name)]
    return Entry(first, kind, number(size), parse_date(when, now), other_names=tuple(others))


def _likelihood(rest: str, found: re.Match[str]) -> tuple[bool, bool, bool]:
    # In `1 may 20 2048 Jan 15 10:00` no file of one byte was changed in May 2048, and none of 20 bytes in January 2048:
    # owner and group stand before a size, and few languages begin with the year.
    words = words_of(found[2])
    has_owner, begins_with_year = bool(rest[: found.start()].strip()), bool(words and _YEAR_FIRST.match(found[2]))
    return has_owner, not begins_with_year, not words or any(month_of(word) is not None for word in words)


def _readable(name: str) -> str:
    # A name that is no UTF-8 is listed readably; it must not hide all the others.
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _link_names(text: str) -> Iterator[str]:
    position = text.find(_LINK_MARK)
    while position > 0:
        yield text[:position]
        position = text.find(_LINK_MARK, position + 1)
    yield text
