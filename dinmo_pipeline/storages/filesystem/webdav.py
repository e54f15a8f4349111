"""webdav4's filesystem, mended: a file is renamed by MOVE, written as it is read, never sent to another address, and keeps its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from typing import Any, BinaryIO, Self
from urllib.parse import quote

from httpx import URL, InvalidURL, Response
from webdav4.client import Client, HTTPError, ResourceAlreadyExists, ResourceNotFound
from webdav4.fsspec import WebdavFileSystem
from webdav4.urls import join_url_path

from dinmo_pipeline.intake_limits import DEFAULT_LIMITS
from dinmo_pipeline.masking import remember_secret
from dinmo_pipeline.storages.answers import Answers, CountedAnswer
from dinmo_pipeline.storages.filesystem.multistatus import Told, told
from dinmo_pipeline.storages.httpcore_transport import bound
from dinmo_pipeline.storages.intake import ListingCount, TransferCount

_UNANSWERED_SECONDS = 170.0
_BLOCK_BYTES = 1024 * 1024
_LISTED_BYTES = 64 * 1024


class WebdavFiles(WebdavFileSystem):  # type: ignore[misc]
    """A WebDAV server's folders.

    webdav4's own class copies and deletes where it is to move a file, follows redirects, takes blanks off a folder's name, makes missing
    folders unasked, tries again by itself, and keeps in memory whatever a server answers. `answers` are the limits of that.
    """

    def __init__(self, base_url: str, auth: Any = None, username: str | None = None, password: str | None = None, **options: Any) -> None:
        login = (username, password or "") if username is not None else tuple(auth) if isinstance(auth, list) else auth
        options = {"timeout": _UNANSWERED_SECONDS, **options}
        super().__init__(base_url, client=_Client(base_url, auth=login, retry=False, chunk_size=_BLOCK_BYTES, **options))
        # No header of ours goes anywhere else, whatever a call of the library says.
        self.client.http.max_redirects = 0
        self.answers = Answers(DEFAULT_LIMITS)
        bound(self.client.http, lambda: CountedAnswer(self.answers))
        if isinstance(login, tuple):
            # Joined and in base64 they go over the line, and a server may say that again.
            remember_secret(":".join(map(str, login)))

    def counted_by(self, action: ListingCount | TransferCount | None) -> AbstractContextManager[None]:
        """Count what comes meanwhile as a part of this action."""
        return self.answers.counted_by(action)

    def close(self) -> None:
        """End all connections."""
        self.client.http.close()

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        found = next(self._asked(path, depth=0), None)
        if found is None:
            raise ValueError("the server's answer tells of nothing")
        # Some servers tell of another address than the one that was asked.
        return _entry(path, found)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        entries = list(self.scan(path))
        return entries if detail else [each["name"] for each in entries]

    def scan(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield what `ls` tells while it comes, the folder itself as well; `unread` is why nobody can tell where a file lies."""
        folder = path.strip("/")
        for found in self._asked(path, depth=1):
            name = self._below(found.href)
            if name is None or (name != folder and name.rpartition("/")[0] != folder):
                yield {"name": found.href, "unread": "its address is none of a file in this folder"}
            else:
                yield _entry(name, found)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        parent = path.rpartition("/")[0]
        if parent.strip("/") and not self._is_folder(parent):
            self.makedirs(parent, exist_ok=True)
        try:
            with _missing():
                self.client.mkdir(path)
        except ResourceAlreadyExists:
            if not (exist_ok and self._is_folder(path)):
                raise FileExistsError(path) from None

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        with _missing():
            self.client.move(path1, path2, overwrite=True)

    def put_stream(self, stream: BinaryIO, path: str, size: int) -> None:
        """Send a file while it is read, as one request; a missing folder is an error."""
        with _missing():
            self.client.upload_fileobj(stream, path, overwrite=True, size=size)

    def get_stream(self, path: str) -> _Body:
        """Receive a file in one request: webdav4's own would go on with another version of it after the connection broke."""
        request = self.client.http.build_request("GET", self.client.join_url(path), headers={"Accept-Encoding": "identity"})
        answer = self.client.http.send(request, stream=True, follow_redirects=False)
        if answer.status_code != HTTPStatus.OK:
            answer.close()
            raise FileNotFoundError(path) if answer.status_code == HTTPStatus.NOT_FOUND else HTTPError(answer)
        return _Body(answer)

    def _is_folder(self, path: str) -> bool:
        try:
            return bool(self.info(path)["type"] == "directory")
        except FileNotFoundError:
            return False

    def _asked(self, path: str, *, depth: int) -> Iterator[Told]:
        """Yield what the server tells of the path, and with `depth` 1 of what lies in it, while it comes."""
        request = self.client.http.build_request("PROPFIND", self.client.join_url(path), headers={"Depth": str(depth)})
        answer = self.client.http.send(request, stream=True, follow_redirects=False)
        try:
            if answer.status_code == HTTPStatus.NOT_FOUND:
                raise FileNotFoundError(path)
            if answer.status_code != HTTPStatus.MULTI_STATUS:
                raise HTTPError(answer)
            yield from told(answer.iter_raw(_LISTED_BYTES))
        finally:
            answer.close()

    def _below(self, href: str) -> str | None:
        """Return the path that an address has below `base_url`, whatever host it names; None where it has none."""
        base = self.client.base_url.path.strip("/")
        try:
            found = URL(href).path.strip("/")
        except (InvalidURL, ValueError):
            return None
        if not base or found == base:
            return found if not base else ""
        return found.removeprefix(f"{base}/") if found.startswith(f"{base}/") else None


def _entry(name: str, found: Told) -> dict[str, Any]:
    return {"name": name, "size": found.size, "modified": found.modified, "type": "directory" if found.is_folder else "file"}


class _Client(Client):  # type: ignore[misc]
    """webdav4's client, for names that hold what has a meaning in addresses."""

    def join_url(self, path: str, add_trailing_slash: bool = False) -> URL:
        joined = join_url_path(self.base_url.path, path) + ("/" if add_trailing_slash else "")
        url: URL = self.base_url.copy_with(raw_path=quote(joined).encode("ascii"))
        return url

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        answer: Response = self._request(method, path, **kwargs)
        if answer.status_code == HTTPStatus.MULTI_STATUS:
            # webdav4's own reader takes minutes for some documents of a few megabytes.
            failed = next((found.status for found in told((answer.content,)) if found.status >= HTTPStatus.BAD_REQUEST), None)
            if failed is not None:
                answer.status_code = failed
                raise HTTPError(answer)
        return answer


class _Body:
    """A file while it is received, as the server stores it."""

    def __init__(self, answer: Response) -> None:
        self._answer = answer
        self._blocks = answer.iter_raw(_BLOCK_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()

    def read(self, _: int = -1) -> bytes:
        """Return the next block, of no size in particular; empty at the end."""
        return next(self._blocks, b"")


@contextmanager
def _missing() -> Iterator[None]:
    """Raise the library's word for what is not there as Python's."""
    try:
        yield
    except ResourceNotFound as error:
        raise FileNotFoundError(str(error)) from None
