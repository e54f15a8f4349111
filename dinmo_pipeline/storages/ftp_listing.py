"""What FTP servers answer when asked for files: the facts of MLST and MLSD, and the listings that are made for people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Entry:
    """One line of a listing; `kind` is file, folder, link or other, and size and time are None where they are not told."""

    name: str
    kind: str
    size: int | None = None
    modified: datetime | None = None


class UnknownListing(ValueError):
    """A listing in a form that is not known; holds its first line."""


_MACHINE_KINDS = {"file": "file", "dir": "folder", "os.unix=slink": "link", "os.unix=symlink": "link"}
_UNIX_KINDS = {"-": "file", "d": "folder", "l": "link"}
# `-rw-r--r--    1 1000     1000           12 Nov 24 18:49 name`, with or without a group.
_UNIX = re.compile(r"([-dlbcps])\S{9}\S*\s+\d+\s+\S+\s+(?:\S+\s+)?(\d+)\s+[A-Za-z]{3}\s+\d{1,2}\s+(?:\d{1,2}:\d{2}|\d{4}) (.+)")
# `11-24-26  06:49PM                   12 name`
_WINDOWS = re.compile(r"\d{2}-\d{2}-\d{2}(?:\d{2})?\s+\d{1,2}:\d{2}(?:[AP]M)?\s+(<DIR>|\d+) (.+)")
_TOTAL = re.compile(r"total \d+$")


def machine_entry(line: str) -> Entry | None:
    """One line of MLSD or MLST; None for the folder itself and the one above it."""
    facts_text, _, name = line.partition(" ")
    facts = {key.lower(): value for key, _, value in (fact.partition("=") for fact in facts_text.split(";"))}
    kind = facts.get("type", "file").lower()
    if kind in {"cdir", "pdir"}:
        return None
    # The type of a link names its target behind a colon.
    return Entry(
        name=name,
        kind=_MACHINE_KINDS.get(kind.partition(":")[0], "other"),
        size=int(facts["size"]) if facts.get("size", "").isdigit() else None,
        modified=timestamp(facts.get("modify", "")),
    )


def listed_entries(lines: Iterable[str]) -> list[Entry]:
    """The entries of a LIST, as Unix and Windows servers write it; raises UnknownListing when not one line can be read."""
    entries, unknown = [], None
    for line in lines:
        if unix := _UNIX.match(line):
            kind = _UNIX_KINDS.get(unix[1], "other")
            name = unix[3].partition(" -> ")[0] if kind == "link" else unix[3]
            entries.append(Entry(name=name, kind=kind, size=int(unix[2])))
        elif windows := _WINDOWS.match(line):
            is_folder = windows[1] == "<DIR>"
            entries.append(Entry(name=windows[2], kind="folder" if is_folder else "file", size=None if is_folder else int(windows[1])))
        elif line.strip() and not _TOTAL.match(line):
            unknown = unknown or line
    if unknown is not None and not entries:
        raise UnknownListing(unknown)
    return [entry for entry in entries if entry.name not in {".", ".."}]


def timestamp(text: str) -> datetime | None:
    """The instant of `modify` and MDTM, which is UTC; None when it is none."""
    try:
        return datetime.strptime(text.partition(".")[0], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
