"""How much of this machine servers and files of others may take, before they are refused: `[tool.dinmo.limits]` of pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dinmo_pipeline.pyproject import read_pyproject
from dinmo_pipeline.suggestions import nearest_hint

TABLE = "[tool.dinmo.limits]"
# What a 64-bit number of SQL and of a file system holds.
_MOST = 2**63 - 1


def _limit(default: int, words: str, *, least: int = 1) -> int:
    value: int = field(default=default, metadata={"words": words, "least": least})
    return value


@dataclass(frozen=True)
class IntakeLimits:
    """The limits of one project; each name says what is counted, and in which unit."""

    reply_bytes: int = _limit(64 * 1024, "Bytes of one reply of an FTP server, its greeting included.")
    answer_bytes: int = _limit(
        8 * 1024 * 1024,
        "Bytes of one answer of an object store, or of WebDAV, that is no file, packed and unpacked: a page of a listing, an error.",
    )
    answer_seconds: int = _limit(
        600, "Seconds until one answer of an object store, or of WebDAV, has come that is no file, and until one has moved a file."
    )
    listing_bytes: int = _limit(100_000_000, "Bytes of a folder's listing on FTP and WebDAV, and of its names elsewhere.")
    listing_entries: int = _limit(500_000, "Entries of a folder, whatever they are: files, other folders, links, unreadable lines.")
    listing_seconds: int = _limit(600, "Seconds until a folder is listed.")
    seconds_per_megabyte: int = _limit(
        120, "Seconds for each megabyte of a file that is read, and for the first one: 120 are 8.3 kB a second."
    )
    free_disk_bytes: int = _limit(
        200_000_000, "Bytes that reading a file from a server leaves free on this machine's disk; 0 is none.", least=0
    )
    unpacked_ratio: int = _limit(500, "How many times its own size a packed inbound file may become, once that is more than 256 MiB.")
    file_columns: int = _limit(2_000, "Columns of an inbound file: names in the header of a CSV file, or in all records of a JSON file.")
    feed_columns: int = _limit(5_000, "Columns of a feed's table: a file that brings more than its table has room for is refused.")
    column_name_characters: int = _limit(1_000, "Characters of a column's name in an inbound file.")
    json_levels: int = _limit(200, "Levels of JSON, in JSON files and in columns of the types `json` and `array`.")
    record_fields: int = _limit(1_000_000, "Fields of one record of a CSV file.")
    record_bytes: int = _limit(256 * 1024 * 1024, "Bytes of one record of an inbound file.")
    rejected_records: int = _limit(1_000_000, "Records of an inbound file that are rejected; they are kept in memory.")
    file_records: int = _limit(200_000_000, "Records of an inbound file.")
    file_seconds: int = _limit(3_600, "Seconds until an inbound file is read from its beginning to its end.")


DEFAULT_LIMITS = IntakeLimits()


def limit_words() -> Iterator[tuple[str, int, str]]:
    """Yield each limit: its name, its default and what it says."""
    for each in fields(IntakeLimits):
        yield each.name, int(getattr(DEFAULT_LIMITS, each.name)), each.metadata["words"]


def how_to_raise(name: str) -> str:
    """Return what to do where a limit is too low, in words."""
    return f"raise {name} in {TABLE} of pyproject.toml"


def parse_limits(table: object) -> tuple[IntakeLimits, dict[str, str]]:
    """Return the limits that `table` sets, the others as they are by default; with what is wrong, by the option, in words."""
    if not isinstance(table, Mapping):
        return DEFAULT_LIMITS, {"limits": f"expected a table {TABLE}, found {table!r}"}
    known = {each.name: each for each in fields(IntakeLimits)}
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, value in table.items():
        if name not in known:
            problems[name] = f"{TABLE} has an unknown option {name!r}{nearest_hint(name, known)}"
            continue
        least = known[name].metadata["least"]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
            problems[name] = f"{TABLE} {name}: expected a whole number from {least}, found {value!r}"
        else:
            values[name] = value
    return IntakeLimits(**values), problems


def read_limits(root: Path) -> IntakeLimits:
    """Return the limits that the project in `root` sets; reads `pyproject.toml`, whose faults are for `read_settings` to tell."""
    try:
        dinmo = tomllib.loads(read_pyproject(root)).get("tool", {}).get("dinmo", {})
    except tomllib.TOMLDecodeError:
        return DEFAULT_LIMITS
    return parse_limits(dinmo.get("limits", {}))[0]
