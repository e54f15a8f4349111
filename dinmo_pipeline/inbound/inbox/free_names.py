"""The names that files get in `imports/`: free, never over another's, and no longer than file systems take."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator
from typing import Final

from dinmo_pipeline.inbound.inbox.file_names import without_extension

REJECTS_ENDING, REASON_ENDING = ".rejects.csv", ".reason.txt"
# What the file systems of Linux, macOS and Windows take.
_MOST_BYTES: Final = 255
_DIGEST_LETTERS = 12


def rejects_path(target: str) -> str:
    """Return where the rejects of the file that lies at `target` are written: always the same for one target."""
    return _beside(target, REJECTS_ENDING)


def reason_path(target: str) -> str:
    """Return where it is written why the file that lies at `target` was refused."""
    return _beside(target, REASON_ENDING)


def free_name(name: str, taken: set[str]) -> str:
    """Return `name`, or one made from it, such that neither it nor what may be written beside it is in `taken`; all of them are added."""
    for free in _candidates(name):
        wanted = {free, rejects_path(free), reason_path(free)}
        if taken.isdisjoint(wanted):
            taken |= wanted
            return free
    raise AssertionError("there is always another number")


def shortened(name: str, most_bytes: int) -> str:
    """Return `name` in at most so many bytes: where it is longer its end gives way to a digest of all of it; the extension stays."""
    if len(name.encode("utf-8", "surrogatepass")) <= most_bytes:
        return name
    stem = without_extension(name)
    extension = name[len(stem) :]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LETTERS]
    room = most_bytes - len(extension.encode()) - len(digest) - 1
    # A character that was cut in two is left out.
    return f"{stem.encode('utf-8', 'surrogatepass')[:room].decode('utf-8', 'ignore')}~{digest}{extension}"


def _beside(target: str, ending: str) -> str:
    folder, name = posixpath.split(target)
    return posixpath.join(folder, shortened(name, _MOST_BYTES - len(ending)) + ending)


def _candidates(name: str) -> Iterator[str]:
    yield shortened(name, _MOST_BYTES)
    number = 1
    while True:
        number += 1
        stem, dot, endings = name.partition(".")
        yield shortened(f"{stem}_{number}{dot}{endings}", _MOST_BYTES)
