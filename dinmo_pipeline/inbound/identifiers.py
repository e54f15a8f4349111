"""Names of columns in inbound files, made into identifiers: `First Name` is `first_name`."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")


def identifier(name: str) -> str:
    """The words of `name` in small letters with one _ between them; empty when there are none."""
    return "_".join(_WORD.findall(name.lower()))
