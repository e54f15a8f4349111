"""The example shop as the demo runs it: an empty start, a day's files, the `dinmo` command, what it says of its syncs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from demo.source import Senders, find_year

# The week of Thanksgiving: on each of these mornings some households lapse, some lapse further and some are back.
MORNINGS = (date(2017, 11, 22), date(2017, 11, 23), date(2017, 11, 24))
TIMEZONE = ZoneInfo("America/New_York")
MADE_BY_THE_DEMO = (".dinmo", "drop", "deliveries")


@dataclass(frozen=True)
class Shop:
    """The example project in `root`: this repository, or a copy of its definitions."""

    root: Path

    @property
    def inbox(self) -> Path:
        """The folder that the grocer's systems drop their files into."""
        return self.root / "drop"

    def start_anew(self) -> None:
        """Remove what an earlier run made (state, received files, deliveries)."""
        for name in MADE_BY_THE_DEMO:
            shutil.rmtree(self.root / name, ignore_errors=True)

    def receive_files(self, morning: date) -> list[str]:
        """Have the grocer's systems send what they know by `morning`: all of it on the first one, a day on the others; the files' paths."""
        senders = Senders(self.inbox, find_year())
        if morning == MORNINGS[0]:
            senders.send_all_before(morning)
        else:
            senders.send_day_before(morning)
        files = (path for folder in ("init", "raw") for path in sorted((self.inbox / folder).glob("*")))
        return [path.relative_to(self.root).as_posix() for path in files]

    def import_files(self) -> str:
        """Import what was received; what the command printed."""
        return self._dinmo(["import"])

    def sync_all(self, morning: date) -> list[str]:
        """Deliver every activation as of seven o'clock; returns the command line that did it."""
        instant = datetime.combine(morning, time(7), TIMEZONE)
        arguments = ["sync", "--all", "--at", instant.isoformat()]
        self._dinmo(arguments)
        return ["dinmo", *arguments]

    def history(self, activation: str) -> list[dict[str, Any]]:
        """The activation's syncs, oldest first, as `dinmo history --json` gives them."""
        syncs: list[dict[str, Any]] = json.loads(self._dinmo(["history", activation, "--json"]))
        return syncs

    def _dinmo(self, arguments: Sequence[str]) -> str:
        """Run the command in the project and return what it printed; ends the demo with its words when it fails."""
        # A home or a redirect that the user has set for another project is not meant for this one.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DINMO_", "DAGSTER_"))}
        command = [sys.executable, "-c", "from dinmo_pipeline.cli import main; main()", *arguments]
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"`dinmo {' '.join(arguments)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout
