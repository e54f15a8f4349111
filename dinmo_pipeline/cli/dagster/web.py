"""The command `dinmo-webserver`: `dagster-webserver`, with its options, behind the guard, for the project in this folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dinmo_pipeline.cli.dagster.instance import made_dagster_home
from dinmo_pipeline.errors import CallError, StateError
from dinmo_pipeline.project.settings import find_project_root, read_settings
from dinmo_pipeline.storages.rights import keep_new_files_private


def use_home_of_project() -> None:
    """Let Dagster read the runs of the project in this folder, unless `DAGSTER_HOME` is set; by itself it would begin with none.

    Elsewhere, where another workspace may be served, it is left to Dagster.
    """
    try:
        home = read_settings(find_project_root(Path())).home
        os.environ.setdefault("DAGSTER_HOME", str(made_dagster_home(home)))
    except CallError:
        return
    except StateError as error:
        sys.exit(str(error))


def main() -> None:
    """Run the server until it is stopped."""
    keep_new_files_private()
    use_home_of_project()
    from dinmo_pipeline.webserver.__main__ import main as serve

    serve()
