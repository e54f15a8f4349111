"""How often a process of ours looks for garbage, and where not.

What it makes when it starts, modules and definitions, stays until it ends: looking at all of that again and again, and once more at the
end, took a quarter of a run's start and found nothing.
"""

from __future__ import annotations

import gc

_OBJECTS = 20_000


def collect_rarely() -> None:
    """Have this process look for garbage once for many new objects, not for every 700."""
    gc.set_threshold(_OBJECTS)


def keep_all_of_now() -> None:
    """Have this process never look for garbage among the objects that it has now; asked again, it forgets the last time."""
    gc.unfreeze()
    gc.freeze()
