"""A batch that cannot be loaded as a whole is loaded in halves, down to the file that is at fault: all others count at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from dinmo_pipeline.inbound.inbox.fetching import is_of_this_machine
from dinmo_pipeline.inbound.load.batch import Fetched

T = TypeVar("T")


def load_divided(files: Sequence[Fetched], load: Callable[[Sequence[Fetched]], T]) -> Iterator[tuple[Sequence[Fetched], T | Exception]]:
    """Yield what `load`, which does all or nothing, makes of the files, in as large groups as it takes; of a single file what it raised.

    The order stays. What is of this machine, and would stop every other file, too, is raised.
    """
    try:
        result = load(files)
    except Exception as error:
        if is_of_this_machine(error):
            raise
        if len(files) == 1:
            yield files, error
            return
    else:
        yield files, result
        return
    middle = len(files) // 2
    yield from load_divided(files[:middle], load)
    yield from load_divided(files[middle:], load)
