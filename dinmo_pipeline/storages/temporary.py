"""The names that files have until they are whole: nobody can know one before, and no reader takes one for a file of his."""

from __future__ import annotations

import posixpath
import re
import secrets

_NAME = re.compile(r"\.dinmo-[0-9a-f]{16}\.part")


def temporary_beside(path: str) -> str:
    """Return a path in the same folder that nothing else has, and that no consumer takes for a file."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), f".dinmo-{secrets.token_hex(8)}.part"))


def is_temporary_name(name: str) -> bool:
    """Return whether `temporary_beside` may have given this name."""
    return _NAME.fullmatch(name) is not None
