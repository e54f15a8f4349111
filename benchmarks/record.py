"""What is held: the CPU ratios of lines and the figures that were recorded, and a table of what was found beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from benchmarks.measure import Figure, Result

_FILE = Path(__file__).with_name("recorded.json")
_ALLOWED = 1.1
_KEPT_RUNS = 5
_LINES = ("work", "yardstick", "ours s", "yardstick s", "ratio", "reach", "", "CPU ratio", "recorded", "")
_FIGURES = ("figure", "found", "", "reach", "", "recorded", "")
_WORDS = {"work", "yardstick", "figure", ""}


@dataclass(frozen=True)
class Record:
    """The values that were kept of the last runs of one `size` that were recorded, by name: the largest is held."""

    size: str
    values: Mapping[str, Sequence[float]]

    @classmethod
    def read(cls, size: str) -> Record:
        """What `recorded.json` has."""
        return cls(size, _read().get(size, {}))

    def may_be_behind(self, found: Result) -> bool:
        """Whether it seems to be, and more pairs must tell whether it is."""
        return found.may_exceed(self._limit(found)) and not self.is_behind(found)

    def is_behind(self, found: Result | Figure) -> bool:
        """Whether it is more than a tenth above what is held."""
        return found.exceeds(self._limit(found))

    def keep(self, found: Sequence[Result | Figure]) -> None:
        """Write these beside what was recorded under their names."""
        kept = {each.name: [*self.values.get(each.name, ()), round(each.held, 2)][-_KEPT_RUNS:] for each in found if each.held is not None}
        _FILE.write_text(json.dumps(_read() | {self.size: {**self.values, **kept}}, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def tables(self, found: Sequence[Result | Figure]) -> list[Table]:
        """The lines, and the figures, each with what was wanted and what is held."""
        lines, figures = _table(_LINES), _table(_FIGURES)
        for each in found:
            reached = "reached" if each.is_reached else "not reached"
            recorded = f"{self._largest(each):.2f}" if each.name in self.values else "-"
            behind = "behind" if self.is_behind(each) else ""
            if isinstance(each, Figure):
                figures.add_row(each.name, f"{each.value:,.2f}", each.unit, f"{each.reach:,.2f}", reached, recorded, behind)
            else:
                seconds = (f"{each.ours:.2f}", f"{each.theirs:.2f}", f"{each.wall_ratio:.2f}", f"{each.line.reach:.1f}")
                lines.add_row(each.name, each.line.yardstick, *seconds, reached, f"{each.held:.2f}", recorded, behind)
        return [table for table in (lines, figures) if table.row_count]

    def _limit(self, found: Result | Figure) -> float:
        return _ALLOWED * self._largest(found) if found.held is not None else math.inf

    def _largest(self, found: Result | Figure) -> float:
        return max(self.values.get(found.name, ()), default=math.inf)


def _read() -> dict[str, dict[str, list[float]]]:
    values: dict[str, dict[str, list[float]]] = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.exists() else {}
    return values


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in _WORDS else "right")
    return table
