"""The `dinmo` command."""

from __future__ import annotations

import sys
from typing import NoReturn

from dinmo_pipeline.gc_tuning import collect_rarely, keep_all_of_now

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line: 0 fine, 1 the work failed, 2 the definitions or the call are wrong."""
    collect_rarely()
    try:
        from dinmo_pipeline.cli.app import main as run
    except KeyboardInterrupt:
        print("stopped by Ctrl-C; nothing was begun", file=sys.stderr)
        sys.exit(130)
    try:
        run()
    finally:
        # The process ends, and all of it with it.
        keep_all_of_now()
