"""What a WebDAV server answers, for one that lies: `lying_http` sends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote
from xml.sax.saxutils import escape

from dinmo_pipeline_tests.servers.lying_http import Answer

_HEAD = b'<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:">'
_TAIL = b"</D:multistatus>"
_TIME = "Mon, 01 Jan 2024 00:00:00 GMT"


def entry(href: str, size: object = 3, *, is_folder: bool = False, modified: str = _TIME, created: str = "2024-01-01T00:00:00Z") -> bytes:
    """One `response` of a PROPFIND; `href` stands there as it is given."""
    kind = "<D:collection/>" if is_folder else ""
    facts = "" if is_folder else f"<D:getcontentlength>{escape(str(size))}</D:getcontentlength>"
    return (
        f"<D:response><D:href>{escape(href)}</D:href><D:propstat><D:prop><D:resourcetype>{kind}</D:resourcetype>{facts}"
        f"<D:creationdate>{created}</D:creationdate><D:getlastmodified>{modified}</D:getlastmodified>"
        f"</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
    ).encode()


def folder_with(path: str, *entries: bytes) -> bytes:
    """The listing of a folder, as a document."""
    return b"".join((_HEAD, entry(f"{quote(path.rstrip('/'))}/", is_folder=True), *entries, _TAIL))


def endless_folder(path: str, entries: Iterable[bytes]) -> Iterator[bytes]:
    """A listing that goes on as long as its entries do."""
    yield _HEAD + entry(f"{quote(path.rstrip('/'))}/", is_folder=True)
    yield from entries
    yield _TAIL


def multistatus(body: bytes | Iterable[bytes], **headers: str) -> Answer:
    """The answer to a PROPFIND."""
    return (
        207,
        {"Content-Type": "application/xml; charset=utf-8", **{name.replace("_", "-"): value for name, value in headers.items()}},
        body,
    )
