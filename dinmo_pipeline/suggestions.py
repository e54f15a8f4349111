"""How an unknown name is answered: with the nearest valid one, or with all of them when they are few."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_FEW = 12


def nearest_hint(found: str, valid: Iterable[str], *, prefix: str = "") -> str:
    """Return the hint that follows a message: `; did you mean 'x'?`, else `; valid are a, b`, else nothing.

    `prefix` is shown before each name.
    """
    names = sorted(set(valid))
    by_case = {name.casefold(): name for name in names}
    if match := difflib.get_close_matches(found.casefold(), by_case, n=1, cutoff=0.6):
        return f"; did you mean {prefix + by_case[match[0]]!r}?"
    return f"; valid are {', '.join(prefix + name for name in names)}" if 0 < len(names) <= _FEW else ""
