"""`python -m dinmo_pipeline.webserver`: the command `dagster-webserver`, with its options, behind the guard."""

from __future__ import annotations

import os
from typing import Any

import dagster_webserver.cli
from dagster_webserver.app import create_app_from_workspace_process_context

from dinmo_pipeline.alerts.notifier import UI_URL
from dinmo_pipeline.storages.rights import keep_new_files_private
from dinmo_pipeline.webserver.guard import SameOriginGuard


def guarded_app(*arguments: Any, **options: Any) -> SameOriginGuard:
    """Make Dagster's web application, behind the guard, which takes the host of `DINMO_UI_URL` beside loopback's."""
    app = create_app_from_workspace_process_context(*arguments, **options)
    return SameOriginGuard(app, os.environ.get(UI_URL, ""))


def main() -> None:
    """Run the server until it is stopped."""
    keep_new_files_private()
    # The command makes its application by this name and has no other place for a middleware.
    vars(dagster_webserver.cli).update(create_app_from_workspace_process_context=guarded_app)
    dagster_webserver.cli.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
