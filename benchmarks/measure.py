"""Ours and the yardstick in turn, in one run: seconds by the clock and of the processors, and the ratio of both."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and of all processors, children included."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Line:
    """A piece of work beside its yardstick. `reach`: the ratio by the clock that is wanted. `prepare` runs before each pair, unmeasured."""

    name: str
    yardstick: str
    reach: float
    ours: Callable[[], object]
    theirs: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Result:
    """A line as it was measured, in pairs of (yardstick, ours): whatever else the machine does meets both sides of a pair alike."""

    line: Line
    pairs: tuple[tuple[Cost, Cost], ...]

    @property
    def name(self) -> str:
        """The line's."""
        return self.line.name

    @property
    def ours(self) -> float:
        """Seconds by the clock, the median."""
        return statistics.median(ours.wall for _, ours in self.pairs)

    @property
    def theirs(self) -> float:
        """Seconds of the yardstick by the clock, the median."""
        return statistics.median(theirs.wall for theirs, _ in self.pairs)

    @property
    def wall_ratio(self) -> float:
        """What a user waits, in yardsticks; not to be trusted while others use the machine."""
        return statistics.median(ours.wall / theirs.wall for theirs, ours in self.pairs)

    @property
    def held(self) -> float:
        """What the processors do, in yardsticks; steadier than the clock's ratio while others use the machine."""
        return statistics.median(self._ratios)

    @property
    def is_reached(self) -> bool:
        """Whether the clock's ratio is as wanted."""
        return self.wall_ratio <= self.line.reach

    def may_exceed(self, limit: float) -> bool:
        """Whether more than half of the pairs are above it."""
        return self._above(limit) > len(self.pairs) / 2

    def exceeds(self, limit: float) -> bool:
        """Whether so many of the pairs are above it that chance is no explanation: two standard deviations more than half of them."""
        return self._above(limit) - len(self.pairs) / 2 >= math.sqrt(len(self.pairs))

    def _above(self, limit: float) -> int:
        return sum(ratio > limit for ratio in self._ratios)

    @property
    def _ratios(self) -> list[float]:
        return [ours.cpu / theirs.cpu for theirs, ours in self.pairs]


@dataclass(frozen=True)
class Figure:
    """One number without a yardstick. `reach`: the most that is wanted. `by_clock`: whatever else the machine does shows in it."""

    name: str
    value: float
    unit: str
    reach: float
    by_clock: bool = False

    @property
    def held(self) -> float | None:
        """What is recorded of it: nothing of a clock."""
        return None if self.by_clock else self.value

    @property
    def is_reached(self) -> bool:
        """Whether it is as wanted."""
        return self.value <= self.reach

    def exceeds(self, limit: float) -> bool:
        """Whether it is above it."""
        return self.value > limit


def measure(line: Line, runs: int) -> Result:
    """Run the yardstick and ours `runs` times in turn, the other one first each time: what one leaves to the disk, the next may pay."""
    pairs = []
    for run in range(runs):
        line.prepare()
        if run % 2:
            ours, theirs = cost_of(line.ours), cost_of(line.theirs)
        else:
            theirs, ours = cost_of(line.theirs), cost_of(line.ours)
        pairs.append((theirs, ours))
    return Result(line, tuple(pairs))


def cost_of(work: Callable[[], object]) -> Cost:
    """What one call costs; side effects are those of `work`."""
    wall, cpu = time.perf_counter(), _processors()
    work()
    return Cost(time.perf_counter() - wall, _processors() - cpu)


def memory_mb(what: str) -> float:
    """What the kernel knows of this process: `VmRSS`, now, or `VmHWM`, the most since its program began; `getrusage` tells its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


def _processors() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
