"""Fault points, found by themselves: each call of the product that reaches outside of its process, named by who makes it.

Python tells of every file that is opened, renamed, linked or deleted, and of every connection that is made, before it happens (audit
events); DuckDB's connection and the storages' requests are wrapped. So a new call is a new point without anybody's help. Dying before a
call is dying after the one before it; dying in the middle of one is up to whoever is told of the point.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import duckdb

import dinmo_pipeline
from dinmo_pipeline import storages
from dinmo_pipeline.storages.base import Storage
from dinmo_pipeline.storages.local.spec import LocalFolder

Nature = Literal["file", "query", "remote"]

_PRODUCT = str(Path(dinmo_pipeline.__file__).parent) + os.sep
_QUERIES = ("execute", "executemany", "begin", "commit", "register")


@dataclass(frozen=True, order=True)
class Site:
    """A call in the product: the room and the function that make it, and what is called. `nature` says what can happen to it."""

    room: str
    function: str
    call: str
    nature: Nature

    def __str__(self) -> str:
        return f"{self.room}/{self.function} → {self.call}"


@dataclass(frozen=True)
class Point:
    """A call that is about to be made; `path` is the file that it is about, if it is about one."""

    site: Site
    path: str = ""


class Watch:
    """Tells `on_point` of each point of this process while it is on. `root`: only files below it count."""

    def __init__(self, root: Path, on_point: Callable[[Point], None]) -> None:
        self._root = str(root) + os.sep
        self._on_point = on_point
        self._on = False
        self._inside = threading.local()
        sys.addaudithook(self._audit)
        _wrap_queries(self._tell)
        _wrap_requests(self._tell)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Tell of points meanwhile."""
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or not (event == "open" or event.startswith(("os.", "shutil.", "socket.connect"))):
            return
        if event == "socket.connect":
            if isinstance(arguments[1], tuple):
                self._tell(event, "remote")
            return
        path = arguments[0] if arguments else None
        if isinstance(path, str | os.PathLike) and (text := os.fspath(path)) and str(text).startswith(self._root):
            self._tell(f"{event} to write" if event == "open" and _writes(arguments) else event, "file", str(text))

    def _tell(self, call: str, nature: Nature, path: str = "") -> None:
        if not self._on or getattr(self._inside, "on", False):
            return
        frame = _innermost(sys._getframe(1))
        if frame is None:
            return
        room, _, module = frame.f_code.co_filename.removeprefix(_PRODUCT).partition(os.sep)
        self._inside.on = True
        try:
            self._on_point(Point(Site(room, f"{module} {frame.f_code.co_qualname}", call, nature), path))
        finally:
            self._inside.on = False


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _innermost(frame: FrameType | None) -> FrameType | None:
    """The product's own function that is at work."""
    while frame is not None and not frame.f_code.co_filename.startswith(_PRODUCT):
        frame = frame.f_back
    return frame


Tell = Callable[[str, Nature], None]


def _wrap_queries(tell: Tell) -> None:
    for name in _QUERIES:
        _wrap(duckdb.DuckDBPyConnection, name, lambda name, arguments: tell(f"duckdb {_verb(name, arguments)}", "query"))


def _verb(name: str, arguments: tuple[Any, ...]) -> str:
    return str(arguments[0]).lstrip("( \n").split()[0].upper() if name == "execute" and arguments else name


# All kinds of storages, whichever is used.
for module in pkgutil.walk_packages(storages.__path__, f"{storages.__name__}."):
    importlib.import_module(module.name)


def _wrap_requests(tell: Tell) -> None:
    for kind in _kinds(Storage):  # type: ignore[type-abstract]
        # A folder's requests are calls that Python tells of.
        if kind is not LocalFolder:
            asked = {name for each in kind.__mro__ for name in getattr(each, "__abstractmethods__", ())}
            for name in sorted(asked & set(kind.__dict__) - {"__exit__"}):
                _wrap(kind, name, lambda name, _, kind=kind: tell(f"{kind.__name__}.{name}", "remote"))  # type: ignore[misc]


def _kinds(kind: type[Storage]) -> Iterator[type[Storage]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


def _wrap(owner: type, name: str, before: Callable[[str, tuple[Any, ...]], None]) -> None:
    method = getattr(owner, name)

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        before(name, arguments)
        return method(self, *arguments, **options)

    setattr(owner, name, call)
