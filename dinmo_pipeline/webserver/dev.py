"""`python -m dinmo_pipeline.webserver.dev`: the command `dagster dev`, with its options, whose web server is the guarded one."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from subprocess import Popen
from typing import Any

import dagster_shared.ipc

_start = dagster_shared.ipc.open_ipc_subprocess


def open_guarded(parts: Sequence[str], **kwargs: Any) -> Popen[Any]:
    """Start a process of `dagster dev`; in the web server's place the guarded one."""
    return _start([part if part != "dagster_webserver" else "dinmo_pipeline.webserver" for part in parts], **kwargs)


def main() -> None:
    """Run all until it is stopped."""
    # `dagster dev` starts `dagster_webserver` by name, with this function, which it takes when it is imported: below, not before.
    assert "dagster._cli.dev" not in sys.modules
    dagster_shared.ipc.open_ipc_subprocess = open_guarded
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
