"""webdav4's filesystem, mended: a file is renamed by MOVE, written as it is read, never sent to another address, and keeps its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, BinaryIO, Self
from urllib.parse import quote

from httpx import URL, Response
from webdav4.client import Client, HTTPError, ResourceAlreadyExists, ResourceNotFound
from webdav4.fsspec import WebdavFileSystem, translate_info
from webdav4.urls import join_url_path

_UNANSWERED_SECONDS = 170.0
_BLOCK_BYTES = 1024 * 1024


class WebdavFiles(WebdavFileSystem):  # type: ignore[misc]
    """A WebDAV server's folders.

    webdav4's own class copies and deletes where it is to move a file, follows redirects, takes blanks off a folder's name, makes missing
    folders unasked, and tries again by itself.
    """

    def __init__(self, base_url: str, auth: Any = None, username: str | None = None, password: str | None = None, **options: Any) -> None:
        login = (username, password or "") if username is not None else tuple(auth) if isinstance(auth, list) else auth
        options = {"timeout": _UNANSWERED_SECONDS, **options}
        super().__init__(base_url, client=_Client(base_url, auth=login, retry=False, chunk_size=_BLOCK_BYTES, **options))
        # No header of ours goes anywhere else, whatever a call of the library says.
        self.client.http.max_redirects = 0

    def close(self) -> None:
        """End all connections."""
        self.client.http.close()

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        with _missing():
            found = self._asked(path, depth=0)
        return found[0]

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        with _missing():
            found = self._asked(path, depth=1)
        return found if detail else [each["name"] for each in found]

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

    def _asked(self, path: str, *, depth: int) -> list[dict[str, Any]]:
        """Return what the server tells of the path, and with `depth` 1 of what lies in it."""
        answers = self.client.propfind(path, headers={"Depth": str(depth)}).responses.values()
        return [translate_info({"path": each.path_relative_to(self.client.base_url), **each.properties.as_dict()}) for each in answers]


class _Client(Client):  # type: ignore[misc]
    """webdav4's client, for names that hold what has a meaning in addresses."""

    def join_url(self, path: str, add_trailing_slash: bool = False) -> URL:
        joined = join_url_path(self.base_url.path, path) + ("/" if add_trailing_slash else "")
        url: URL = self.base_url.copy_with(raw_path=quote(joined).encode("ascii"))
        return url


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
