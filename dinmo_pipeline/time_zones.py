"""One database of time zones in all processes: the pinned `tzdata` package, whatever the system's own files say.

DuckDB has a database of its own. The files of the system may be years older; names of files, schedules and values would disagree.
"""

from __future__ import annotations

import zoneinfo


def use_pinned_time_zones() -> None:
    """Have `zoneinfo`, in this process, read the `tzdata` package alone; zones that were read before are forgotten."""
    if zoneinfo.TZPATH:
        zoneinfo.reset_tzpath(())
        zoneinfo.ZoneInfo.clear_cache()
