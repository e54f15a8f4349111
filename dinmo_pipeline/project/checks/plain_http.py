"""Find addresses of `http://`, whose requests carry secrets unencrypted; those of this machine are left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from dinmo_pipeline.errors import PermanentStorageError, Problem
from dinmo_pipeline.loopback import is_loopback
from dinmo_pipeline.project.schema.definitions import Definition
from dinmo_pipeline.secrets import Secret

_ADVICE = "what goes there can be read on the way, credentials and rows; write https://"


def plain_http_warnings(definitions: Iterable[Definition[Any]], root: Path) -> Iterator[Problem]:
    """Yield what `dinmo check` warns of, with file and line: fields with an http:// address, and keys with such a token_uri.

    A secret that cannot be read is passed over: what needs it will say so.
    """
    for definition in definitions:
        for path, text in _texts(definition.fields, root):
            if _is_plain(text):
                yield definition.problem(path, f"{path[-1]}: an address of http:// is not encrypted: {_ADVICE}")
            elif _is_plain(_token_address(text)):
                yield definition.problem(path, f"{path[-1]}: its token_uri is an address of http://, which is not encrypted: {_ADVICE}")


def _texts(value: object, root: Path, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every text in the fields, however deep, by where it stands; secrets are read."""
    if isinstance(value, Secret):
        if value.env is not None or (root / Path(value.file or "").expanduser()).is_file():
            with suppress(PermanentStorageError):
                yield path, value.resolve(root, what=path[-1])
    elif isinstance(value, str):
        yield path, value
    elif isinstance(value, BaseModel | Mapping):
        inner = vars(value) if isinstance(value, BaseModel) else value
        for name, each in inner.items():
            yield from _texts(each, root, (*path, str(name)))


def _is_plain(address: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(address.strip())
        return parts.scheme == "http" and bool(parts.hostname) and not is_loopback(parts.hostname or "")
    return False


def _token_address(text: str) -> str:
    with suppress(ValueError):
        found = json.loads(text) if text.lstrip().startswith("{") else None
        return str(found.get("token_uri", "")) if isinstance(found, dict) else ""
    return ""
