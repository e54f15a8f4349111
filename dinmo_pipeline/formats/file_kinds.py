"""What a file is that could not be read as what its name says: the kind decides what its sender is asked for."""

from __future__ import annotations

import html
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

_LOOKED_AT = 4096
_TITLE = re.compile(rb"<title[^>]*>\s*(.{1,80}?)\s*</title>", re.IGNORECASE | re.DOTALL)
_PACKED = {".gz": ("gzip", b"\x1f\x8b"), ".zst": ("zstd", b"\x28\xb5\x2f\xfd")}


def kind_problem(path: Path, name: str, reason: str) -> str | None:
    """Say what the file of this `name`, which was refused for `reason`, really is, and what to ask for; None where that is not seen.

    Reads its first bytes.
    """
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    ending = Path(name).suffix.lower()
    if (packed := _packing_problem(start, ending)) is not None:
        return packed
    if ending in _PACKED:
        return None
    if start.startswith(b"PK\x03\x04"):
        return _zip_problem(path)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for begins, told in _BEGINNINGS:
        if re.match(begins, text, re.IGNORECASE):
            return told(start)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) and "utf-8" in reason:
        return "it is UTF-16; write `encoding: utf-16` in the feed, or ask for the file in UTF-8"
    return None


def _packing_problem(start: bytes, ending: str) -> str | None:
    codec, magic = _PACKED.get(ending, ("", b""))
    if codec and not start.startswith(magic):
        plain = "text" if start and b"\0" not in start else "something else"
        return f"it is no {codec} archive but {plain}; ask for it packed, or without {ending} at the end of its name"
    for other, (codec, magic) in _PACKED.items():
        if other != ending and start.startswith(magic):
            return f"it is a {codec} archive; ask for it with {other} at the end of its name"
    return None


def _zip_problem(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        names = []
    if any(each.startswith("xl/") for each in names):
        return "it is an Excel workbook; ask for it saved as CSV, in UTF-8"
    return "it is a zip archive; ask for the file in it by itself, or packed with gzip"


def _web_page(start: bytes) -> str:
    title = _TITLE.search(start)
    quoted = f" ({' '.join(html.unescape(title[1].decode(errors='replace')).split())!r})" if title is not None else ""
    return f"it is a web page{quoted}: the sender's own download failed; ask for the file again"


_BEGINNINGS: tuple[tuple[bytes, Callable[[bytes], str]], ...] = (
    (rb"<!doctype html|<html", _web_page),
    (rb"<\?xml|<[a-z][^<>]*>\s*<", lambda _: "it is XML; ask for it as CSV or JSON"),
    (rb"%PDF-", lambda _: "it is a PDF document; ask for it as CSV"),
    (rb"PAR1", lambda _: "it is a Parquet file; ask for it as CSV or JSON"),
    (rb"\xd0\xcf\x11\xe0", lambda _: "it is an old Excel workbook or another Office document; ask for it saved as CSV, in UTF-8"),
)
