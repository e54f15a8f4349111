"""What column names may not do together."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def clashes(names: Sequence[str], reading: Callable[[str], str], why: str) -> list[str]:
    """Return a sentence for each group of names that `reading` makes one; `why` ends it."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(reading(name), []).append(name)
    return [f"the names {_listed(group)} {why.format(written=written)}" for written, group in groups.items() if len(group) > 1]


def _listed(names: Sequence[str]) -> str:
    quoted = [repr(name) for name in names]
    return ", ".join(quoted[:-1]) + " and " + quoted[-1]
