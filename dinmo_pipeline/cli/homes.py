"""Whether anybody but its user may look into what this product keeps: customers' rows, and what Dagster remembers of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dinmo_pipeline.cli.dagster.instance import dagster_home_in
from dinmo_pipeline.project.specs import Project

_WHO = {0o070: "its group", 0o007: "everybody"}
_ENTER = 0o111


def open_homes(project: Project) -> Iterator[str]:
    """Tell of each home that others may enter, with the command that mends it. Those that this product made are its user's alone."""
    for variable, folder in {"DINMO_HOME": project.home, "DAGSTER_HOME": dagster_home_in(project.home)}.items():
        if (who := _who_may_enter(folder.resolve())) is not None:
            mode = folder.stat().st_mode & 0o777
            yield (
                f"{variable} {folder} is open to {who} on this machine (mode {mode:04o}), and customers' rows are kept there; "
                f"`chmod -R go= {folder}` closes it"
            )


def _who_may_enter(folder: Path) -> str | None:
    try:
        mode = folder.stat().st_mode
        parents = [parent.stat().st_mode for parent in folder.parents]
    except OSError:
        # Not made yet, or closed even to us.
        return None
    # A folder is as open as the least open one above it.
    return next((who for bits, who in reversed(_WHO.items()) if mode & bits and all(parent & bits & _ENTER for parent in parents)), None)
