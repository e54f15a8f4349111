"""Limits that a sync is held to, and how they are written: `rows: "< 1000"`, `removed: "> 10%"`, `source_age: "> 2 days"`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

_LIMIT = re.compile(r"\s*(<=|>=|<|>)\s*(\d[\d_]*(?:\.\d+)?)\s*(%|[A-Za-z]*)\s*")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_SIZES = {
    **{unit: 1000**power for power, unit in enumerate(("b", "kb", "mb", "gb", "tb"))},
    **{unit: 1024**power for power, unit in enumerate(("kib", "mib", "gib", "tib"), start=1)},
}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}

# Fewer rows may well halve.
_ROWS_THAT_MAY_HALVE = 1_000


class Measure(StrEnum):
    """What can be limited; values are rows, characters, bytes or seconds."""

    ROWS = "rows"
    ADDED = "added"
    UPDATED = "updated"
    REMOVED = "removed"
    REPLACED_CHARACTERS = "replaced_characters"
    BYTES = "bytes"
    SOURCE_AGE = "source_age"
    DURATION = "duration"


ROW_COUNTS = (Measure.ROWS, Measure.ADDED, Measure.UPDATED, Measure.REMOVED)
TIMES = (Measure.SOURCE_AGE, Measure.DURATION)
OF_FILES = (Measure.REPLACED_CHARACTERS, Measure.BYTES)
"""What is known when the files are rendered, and not before."""


@dataclass(frozen=True)
class Limit:
    """The limit that `text` writes: broken when `measured <comparison> value` is true. A `share` is of the rows last delivered."""

    measure: Measure
    text: str
    comparison: str
    value: float
    share: bool = False

    def is_true_of(self, found: float) -> bool:
        """Return whether `found` compares with the value as it is written."""
        return _COMPARISONS[self.comparison](found, self.value)

    def is_broken_by(self, found: float, *, whole: int | None) -> bool:
        """Return whether `found` is what must not be; a share of nothing, or of an unknown `whole`, breaks no limit."""
        if not self.share:
            return self.is_true_of(found)
        return bool(whole) and _COMPARISONS[self.comparison](found, self.value * (whole or 0))


def parse_limit(measure: Measure, text: str) -> Limit | None:
    """Return the limit that `text` writes, or None where it writes none."""
    match = _LIMIT.fullmatch(text)
    if match is None:
        return None
    comparison, number, unit = match.groups()
    factor = _factor(measure, unit)
    if factor is None:
        return None
    return Limit(measure, text.strip(), comparison, float(number.replace("_", "")) * factor, share=unit == "%")


def limit_example(measure: Measure) -> str:
    """Return limits of this measure, as a message shows them."""
    if measure in ROW_COUNTS:
        return '"< 1000" or "> 10%"'
    if measure in TIMES:
        return '"> 10 minutes" or "> 2 days"'
    return '"> 1 GB" or "< 100 kB"' if measure == Measure.BYTES else '"> 0"'


def _factor(measure: Measure, unit: str) -> float | None:
    if measure in ROW_COUNTS and unit == "%":
        return 0.01
    if measure in TIMES:
        return _SECONDS.get(unit.lower().removesuffix("s"))
    if measure == Measure.BYTES:
        return _SIZES.get(unit.lower() or "b")
    return None if unit else 1


def is_halved(rows: int, before: int) -> bool:
    """Return whether more than half of `before` rows are gone, which are too many to come and go from one day to the next."""
    return before >= _ROWS_THAT_MAY_HALVE and rows * 2 < before
