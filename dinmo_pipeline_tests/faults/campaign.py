"""Many faults, one after the other, chosen by a seed: what was tried least comes first. Figures at the end."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from dinmo_pipeline_tests.faults.kinds import Fault
from dinmo_pipeline_tests.faults.points import Site
from dinmo_pipeline_tests.faults.working import Work
from dinmo_pipeline_tests.faults.worlds import Problem, World

_SECOND_FAULT = 0.3
_MOST_PROBLEMS = 4


@dataclass
class Campaign:
    """Faults that happened, and what came of them."""

    seed: int
    tried: Counter[tuple[Site, str]] = field(default_factory=Counter)
    happened: Counter[tuple[Site, str]] = field(default_factory=Counter)
    found: set[Site] = field(default_factory=set)
    twice: Counter[tuple[str, str]] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    seen: int = 0
    partial: int = 0
    broken: list[Problem] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def count(self) -> int:
        """How many faults happened."""
        return self.happened.total()

    def play(self, make: Callable[[], AbstractContextManager[World]], faults: int) -> None:
        """Let so many faults happen to a world, each between two changes; after a problem to a new one, a few times."""
        began, problems = time.monotonic(), len(self.problems)
        until = self.count + faults
        for number in range(_MOST_PROBLEMS):
            if self.count >= until:
                break
            with make() as world:
                name = world.name
                self._live(world, random.Random(f"{self.seed} {number} {world.name}"), until)
                self.found |= set(world.known)
                self.problems += [f"{world.name}: {rough}" for rough in world.rough]
                self.twice += world.written.twice
                self.seen += world.written.seen
                self.partial += world.written.partial
        print(f"{name}: {faults} faults in {time.monotonic() - began:,.0f} s", *self.problems[problems:], sep="\n  PROBLEM ", flush=True)

    def _live(self, world: World, chance: random.Random, until: int) -> None:
        try:
            for _ in range(2):
                world.change(chance)
                with world.watched("nothing"):
                    pass
            while self.count < until:
                self._round(world, chance)
        except Problem as problem:
            self.broken.append(problem)
            self.problems.append(f"{world.name}: {problem}")

    def _round(self, world: World, chance: random.Random) -> None:
        world.change(chance)
        faults = [self._choose(world, chance)]
        # A fault in what mends the one before.
        if chance.random() < _SECOND_FAULT:
            faults.append(self._choose(world, chance))
        together = chance.random() < 0.5
        why = " and ".join(map(str, faults))
        try:
            with world.watched(faults[0].kind):
                for done in world.run(*faults) if together else self._apart(world, faults):
                    if done.fault is not None and done.hit is not None:
                        self.happened[done.fault.site, done.fault.kind] += 1
                        ended = "killed" if done.ended is None else "failed, and said so" if done.ended.error else "came through"
                        self.ended[ended] += 1
        except Problem as problem:
            raise type(problem)(f"{why}: {problem}") from problem

    def _apart(self, world: World, faults: list[Fault]) -> Iterator[Work]:
        for fault in faults:
            yield from world.run(fault)

    def _choose(self, world: World, chance: random.Random) -> Fault:
        possible = [(site, kind) for site in sorted(world.known) for kind in world.possible(site)]
        fewest = min(self.tried[each] for each in possible)
        site, kind = chance.choice([each for each in possible if self.tried[each] == fewest])
        self.tried[site, kind] += 1
        return Fault(kind, site, chance.randint(1, world.known[site]), chance.getrandbits(32))

    def figures(self) -> Iterator[str]:
        """What is printed, line by line."""
        yield f"faults {self.count:,} in {time.monotonic() - self.began:,.0f} s, SEED={self.seed}"
        kinds, rooms = Counter[str](), Counter[str]()
        for (site, kind), count in self.happened.items():
            kinds[kind] += count
            rooms[site.room] += count
        yield "  by kind: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        yield "  by room: " + ", ".join(f"{room} {count}" for room, count in rooms.most_common())
        yield "  the runs: " + ", ".join(f"{how} {count}" for how, count in self.ended.most_common())
        hit = {site for site, _ in self.happened}
        kinds_each = len(self.happened) / max(len(hit), 1)
        yield f"  fault points found {len(self.found)}, hit {len(hit & self.found)}; each with {kinds_each:.1f} kinds of faults"
        lost = sum(problem.is_loss for problem in self.broken)
        yield f"  survived {self.count - len(self.broken)}, lost changes {lost}"
        yield f"  files seen by a reader {self.seen}, of these partial {self.partial}"
        twice = ", ".join(f"{count} after {kind} ({rule})" for (kind, rule), count in self.twice.most_common()) or "none"
        yield f"  files written twice: {twice}"
