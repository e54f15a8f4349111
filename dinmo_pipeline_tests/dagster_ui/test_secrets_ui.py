"""No secret comes to a browser: not in a page, not in what GraphQL answers of runs, their logs, sensors, assets, the instance, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from dinmo_pipeline_tests.servers.every_storage import *  # noqa: F403 (its fixtures)
from dinmo_pipeline_tests.servers.mail import running_mail
from dinmo_pipeline_tests.servers.web import running_web

from ..cli.test_secrets import CASES, SECRETS_OF_MESSAGES, definitions, found, notifications, pasted, variables, write
from ..people import MODEL, run_command
from ..waiting import wait_for
from .conftest import Server, serving

_TICKS_S = 300.0
_IN_THE_UI = "to_s3_locked"
# All that any library logs becomes an event of the run: what a person who looks for a fault switches on.
_DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
python_logs: {python_log_level: DEBUG, managed_python_loggers: [root]}
"""
_ERROR = "message stack cause { message stack } errorChain { error { message stack } }"
_WORKSPACE = f"""{{ workspaceOrError {{ ... on Workspace {{ locationEntries {{
  name locationOrLoadError {{ __typename ... on PythonError {{ {_ERROR} }} }} }} }} }} }}"""
_RUNS = "{ runsOrError { ... on Runs { results { id jobName status runConfigYaml tags { key value } } } } }"
_EVENTS = f"""query($id: ID!) {{ logsForRun(runId: $id) {{ ... on EventConnection {{ events {{
  ... on MessageEvent {{ message }} ... on ErrorEvent {{ error {{ {_ERROR} }} }} ... on LogsCapturedEvent {{ fileKey }} }} }} }} }}"""
_CAPTURED = "query($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }"
_SENSORS = f"""query($s: RepositorySelector!) {{ sensorsOrError(repositorySelector: $s) {{ ... on Sensors {{ results {{
  name sensorState {{ ticks(limit: 5) {{ status skipReason error {{ {_ERROR} }} logEvents {{ events {{ message }} }} }} }} }} }} }} }}"""
_RESOURCES = """query($s: RepositorySelector!) { allTopLevelResourceDetailsOrError(repositorySelector: $s) {
  ... on ResourceDetailsList { results { name description configuredValues { key value } } } } }"""
_ASSETS = """{ assetNodes { assetKey { path } description metadataEntries { label description
  ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr } ... on JsonMetadataEntry { jsonString } } } }"""
_RELOAD = "mutation($n: String!) { reloadRepositoryLocation(repositoryLocationName: $n) { __typename } }"
_INSTANCE = "{ instance { info daemonHealth { allDaemonStatuses { daemonType lastHeartbeatErrors { message stack } } } } }"


class Browsed:
    """All that a page is given while it is shown: each answer of GraphQL, what comes over its sockets, and what it shows in the end."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.texts: list[str] = []
        page.route("**/graphql", lambda route: self._answer(route))
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: self.texts.append(str(frame))))

    def visit(self, address: str, *, shows: str) -> None:
        """Open it, and wait until this is there to be read."""
        self._page.goto(address)
        expect(self._page.get_by_text(shows).first).to_be_visible(timeout=120_000)
        self.texts.append(self._page.content())

    def _answer(self, route: Route) -> None:
        answer = route.fetch()
        self.texts.append(answer.text())
        route.fulfill(response=answer)


def every_run(server: Server) -> Iterator[dict[str, Any]]:
    """What GraphQL answers of each run: itself, all of its events, what its processes wrote."""
    for run in server.query(_RUNS)["runsOrError"]["results"]:
        yield run
        events = server.query(_EVENTS, id=run["id"])
        yield events
        for key in {each["fileKey"] for each in events["logsForRun"]["events"] if "fileKey" in each}:
            yield server.query(_CAPTURED, key=[run["id"], "compute_logs", key])


def with_files(text: str, root: Path, secrets: dict[str, str]) -> str:
    """The definitions, with each secret but the right ones in a file instead of a variable."""
    for name, secret in secrets.items():
        if not name.endswith("RIGHT"):
            (root / name).write_text(secret, encoding="utf-8")
            text = text.replace(f"{{env: {name}}}", f"{{file: {name}}}")
    return text


@pytest.mark.xdist_group("s3")
def test_secret_of_a_storage_or_a_message_comes_to_no_browser(request: pytest.FixtureRequest, page: Page, tmp_path: Path) -> None:
    cases = {name: make(request, tmp_path) for name, make in CASES.items()}
    root = tmp_path / "project"
    (root / ".dinmo" / "dagster").mkdir(parents=True)
    (root / ".dinmo" / "dagster" / "dagster.yaml").write_text(_DAGSTER_YAML, encoding="utf-8")
    with running_web() as web, running_mail(login=True) as mail:
        told, environment = notifications(web, mail)
        environment |= variables(cases)
        text = MODEL + told.replace("{name:", f"{{only: {_IN_THE_UI}, name:")
        locked = [f"{name}_locked" for name in cases]
        text += "".join(definitions(name, case, bad=case.bad, used=("gcs", *locked)) for name, case in cases.items())
        write(root, with_files(text, root, variables(cases)))
        done = run_command("dinmo", "sync", "to_gcs", *(f"to_{name}" for name in locked), cwd=root, env=environment)
        assert done.code == 1, done.err

        with serving(root, DINMO_AUTOSTART="1", **environment) as server:
            (location,) = server.query(_WORKSPACE)["workspaceOrError"]["locationEntries"]
            selector = {"repositoryName": "__repository__", "repositoryLocationName": location["name"]}
            server.launch(f"sync_{_IN_THE_UI}", "by-a-person", location["name"])
            run = server.finished_run("by-a-person")
            assert run["status"] == "FAILURE"

            def ticked() -> Any:
                sensors = server.query(_SENSORS, s=selector)["sensorsOrError"]["results"]
                failed = {each["name"] for each in sensors if any(t["status"] == "FAILURE" for t in each["sensorState"]["ticks"])}
                return sensors if failed == {f"{name}_inbox" for name in locked} else None

            sensors = wait_for(ticked, "a tick of each inbox that does not let in", _TICKS_S)
            answers = [*every_run(server), sensors, server.query(_ASSETS), server.query(_INSTANCE), server.query(_RESOURCES, s=selector)]
            browsed = Browsed(page)
            browsed.visit(f"{server.url}/runs/{run['id']}", shows="s3_locked")
            browsed.visit(f"{server.url}/assets/activations/{_IN_THE_UI}/delivery?view=overview", shows="s3_locked")
            browsed.visit(f"{server.url}/locations/{location['name']}/sensors/s3_locked_inbox", shows="s3_locked_inbox")
            # A secret in the wrong place is a code location that does not load, and the UI shows why.
            write(root, MODEL + "".join(definitions(name, case, bad=pasted(case)) for name, case in cases.items()))
            server.query(
                "mutation($n: String!) { reloadRepositoryLocation(repositoryLocationName: $n) { __typename } }", n=location["name"]
            )
            answers.append(broken := server.query(_WORKSPACE))
            browsed.visit(f"{server.url}/locations", shows=location["name"])
        log = (root.parent / f"{root.name}.log").read_text(encoding="utf-8")

    shown = [json.dumps(answers, ensure_ascii=False), *browsed.texts, log]
    said = {"was not told", "s3_locked", "managed_python_loggers", "Starting new HTTP connection", "RUN_FAILURE"}
    assert found(said, shown) == said, "what is looked through does not hold what it should"
    assert "errors in the definitions" in json.dumps(broken)
    secrets = {secret for case in cases.values() for secret in (*case.secrets.values(), *case.given())}
    assert not found(secrets | SECRETS_OF_MESSAGES, shown)
