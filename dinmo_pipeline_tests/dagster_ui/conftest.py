"""The Dagster UI of a new project, as `dinmo dev` opens it, and a browser before it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from ..people import BIN, run_command
from ..servers.running import free_port, missing
from ..waiting import wait_for

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# A machine that is busy takes its time to start four processes.
_START_S = 300.0
_RUN_S = 300.0
_STOP_S = 60.0
# A page asks for its parts one after the other.
expect.set_options(timeout=120_000)
_RUNS = "query($tags: [ExecutionTag!]) { runsOrError(filter: {tags: $tags}) { ... on Runs { results { id status jobName } } } }"
_ADD_PARTITION = """\
mutation($name: String!, $key: String!, $s: RepositorySelector!) {
  addDynamicPartition(partitionsDefName: $name, partitionKey: $key, repositorySelector: $s) { __typename }
}
"""
_LAUNCH = "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"


@dataclass(frozen=True)
class Server:
    """A UI that answers at `url`, for the project in `root`; its process has the id `pid`."""

    url: str
    root: Path
    pid: int

    def query(self, text: str, **variables: Any) -> Any:
        """The data that GraphQL answers; an error fails the test."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            answered = json.load(answer)
        assert not answered.get("errors"), answered
        return answered["data"]

    def launch(self, job: str, partition: str, location: str) -> None:
        """Start a sync by hand: its partition is added, its run asked for."""
        selector = {"repositoryName": "__repository__", "repositoryLocationName": location}
        self.query(_ADD_PARTITION, name=job.replace("sync_", "syncs_", 1), key=partition, s=selector)
        asked = {
            "selector": {**selector, "jobName": job},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}]},
        }
        assert self.query(_LAUNCH, p=asked)["launchRun"]["__typename"] == "LaunchRunSuccess"

    def finished_run(self, partition: str, **more_tags: str) -> dict[str, Any]:
        """The run of this partition, with these tags, too, when it has ended."""
        tags = [{"key": key, "value": value} for key, value in {"dagster/partition": partition, **more_tags}.items()]

        def look() -> dict[str, Any] | None:
            runs: list[dict[str, Any]] = self.query(_RUNS, tags=tags)["runsOrError"]["results"]
            return next((run for run in runs if run["status"] in ("SUCCESS", "FAILURE", "CANCELED")), None)

        return wait_for(look, f"the end of the run of {partition!r}", _RUN_S)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`dinmo init shop`, then `dinmo dev` in it, which shows rows."""
    folder = tmp_path_factory.mktemp("ui")
    assert run_command("dinmo", "init", "shop", cwd=folder).code == 0
    pyproject = folder / "shop" / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8").replace("[tool.dinmo]", "[tool.dinmo]\npreview_rows = 5"), encoding="utf-8")
    with serving(folder / "shop") as started:
        yield started


@contextmanager
def serving(root: Path, **variables: str) -> Iterator[Server]:
    """`dinmo dev` in the project, with these variables of the environment."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DINMO_", "DAGSTER_"))}
    log = root.parent / f"{root.name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [BIN / "dinmo", "dev", "--port", str(port)],
            cwd=root,
            env={**environment, **variables},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:

        def look() -> bool | None:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            return _answers(url)

        wait_for(look, f"the UI (its log is {log})", _START_S)
        yield Server(url, root, process.pid)
    finally:
        _stop(process)


def _answers(url: str) -> bool | None:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=10):
            return True
    except OSError:
        return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"`dinmo dev` did not stop within {_STOP_S:.0f} s of being asked to") from None


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a headless Chromium; none installed is a failure in CI, else a skip that says so."""
    browser = installed_browser()
    if browser is None:
        missing(f"no browser is installed (looked for {', '.join(_BROWSERS)}); scripts/ensure-browser installs one")
    with browsing(browser, height=1900) as fresh:
        yield fresh


def installed_browser() -> str | None:
    """The program of a Chromium, if there is one."""
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


@contextmanager
def browsing(browser: str, *, height: int) -> Iterator[Page]:
    """A page that is as wide as the UI shows all of."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not start for root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=browser, args=arguments)
        try:
            fresh = opened.new_page(viewport={"width": 1400, "height": height})
            fresh.set_default_timeout(60_000)
            yield fresh
        finally:
            opened.close()
