"""Open the project in the Dagster UI."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Annotated

import typer

from dinmo_pipeline.cli.options import HERE, ProjectOption
from dinmo_pipeline.cli.output import console
from dinmo_pipeline.errors import CallError
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.project.settings import find_project_root


def dev(
    port: Annotated[int, typer.Option(help="The port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="The address that the UI listens on.")] = "127.0.0.1",
    project: ProjectOption = HERE,
) -> None:
    """Open the project in the Dagster UI, with its daemon for schedules."""
    from dinmo_pipeline.alerts.notifier import UI_URL
    from dinmo_pipeline.cli.dagster.instance import dagster_home, prepare_storage
    from dinmo_pipeline.cli.dagster.running import loads_itself

    root = find_project_root(project)
    home = dagster_home(load_project(root))
    _require_free(host, port)
    # Before Dagster's processes do it, all at once.
    prepare_storage(home)
    # Dagster tells whoever uses this command of another one, for projects that are no `dinmo` ones.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    command = [sys.executable, *quiet, "-m", "dinmo_pipeline.webserver.dev", "dev", "--host", host, "--port", str(port)]
    if not loads_itself(root):
        command += ["--module-name", "dinmo_pipeline.definitions"]
    console.say(f"the Dagster UI opens at http://{host}:{port} (Ctrl-C ends it)")
    sys.stdout.flush()
    os.chdir(root)
    # A shell's background job ignores interrupts, and Dagster would then ignore being stopped, too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # In this process's place: whoever stops it stops Dagster, which then stops what it has started.
    variables = {UI_URL: f"http://{host}:{port}", **os.environ, "DAGSTER_HOME": str(home), "PYTHONTZPATH": ""}
    os.execve(sys.executable, command, variables)


def _require_free(host: str, port: int) -> None:
    """Raise CallError where the UI could not listen: Dagster would go on without it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as trial:
            # As the server does: connections that an earlier server left half closed keep no port.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise CallError(f"opening the Dagster UI at {host}:{port}: {error.strerror}; choose another with --port or --host") from error
