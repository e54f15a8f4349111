"""How often a process of ours looks for garbage."""

from __future__ import annotations

import gc

_OBJECTS = 20_000


def collect_rarely() -> None:
    """Have this process look for garbage once for many new objects, not for every 700.

    What it makes when it starts, modules and definitions, stays: looking took a sixth of the start, and found nothing.
    """
    gc.set_threshold(_OBJECTS)
