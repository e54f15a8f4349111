"""What fsspec's filesystems tell of files, each in keys of its own."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from dinmo_pipeline.storages.base import NO_SIZE, RemoteFile, unread_line
from dinmo_pipeline.storages.intake import ListingCount, counted

_TIMES = ("modified", "mtime", "last_modified", "LastModified", "modificationTime", "updated", "updated_at")
# Milliseconds since 1970 are above that, and seconds will be in 5,138.
_MOST_SECONDS = 1e11


def files_of(entries: Iterable[dict[str, Any]], folder: str, count: ListingCount, unread: list[str]) -> Iterator[RemoteFile]:
    """Yield the files of a folder's listing, each counted; what has no size goes to `unread`. NotADirectoryError where it is of a file."""
    for entry in counted(entries, count):
        if "unread" in entry:
            unread.append(unread_line(str(entry["name"]), entry["unread"]))
            continue
        if str(entry["name"]).strip("/") == folder.strip("/"):
            if entry.get("type") == "file":
                raise NotADirectoryError("it is a file")
            continue
        file = remote_file(entry)
        if file is None:
            continue
        count.add_bytes(len(file.name))
        if file.size is None:
            unread.append(unread_line(file.name, NO_SIZE))
        else:
            yield file


def remote_file(entry: dict[str, Any] | None) -> RemoteFile | None:
    """Return the file that is told of; None when it is none."""
    if entry is None or entry.get("type") == "directory":
        return None
    modified = next((found for name in _TIMES if (found := _instant(entry.get(name))) is not None), None)
    is_link = entry.get("type") == "link" or bool(entry.get("islink"))
    return RemoteFile(name=posixpath.basename(str(entry["name"])), size=size_of(entry), modified=modified, is_link=is_link)


def size_of(entry: dict[str, Any] | None) -> int | None:
    """Return the size of the file that is told of; None where it is none, or has no size."""
    size = None if entry is None or entry.get("type") == "directory" else entry.get("size")
    return size if isinstance(size, int) and size >= 0 else None


def _instant(value: object) -> datetime | None:
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > _MOST_SECONDS else value, tz=UTC)
    except (ValueError, OverflowError, OSError):
        # A text or a number that is no time of this world is for this file alone.
        return None
    return None
