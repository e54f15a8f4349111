"""The documents and the code, held to each other: what is named exists, and what exists is named."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance

from dinmo_pipeline.cli.dagster.instance import NEW_HOME_SETTINGS
from dinmo_pipeline.formats import FORMATS
from dinmo_pipeline.intake_limits import limit_words
from dinmo_pipeline.launching import ForkingRunLauncher
from dinmo_pipeline.project.schema.definitions import COMPONENT_FIELDS

from .people import BIN
from .reference import PAGE, VARIABLES, commands, options, render

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
PROJECT_PAGES = (*PAGES, ROOT / "dinmo_pipeline" / "cli" / "template" / "files" / "README.md")
COMPONENTS = COMPONENT_FIELDS
# Folders whose files are not in the repository: environments and what is made.
_ROOMS = re.compile(r"^(dinmo_pipeline|dinmo_pipeline_tests|docs|demo|scripts|requirements|benchmarks|\.ci)(/|$)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a page with their language."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def code(page: Path) -> Iterator[str]:
    """Every line of a fenced block, and every span between backticks."""
    text = page.read_text(encoding="utf-8")
    for _, block in blocks(page):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PROJECT_PAGES, ids=name_of)
def test_commands_and_options_that_a_page_names_exist(page: Path) -> None:
    known = commands()
    wrong = []
    for line in code(page):
        for call in re.findall(r"(?:^|[\s/(;&$])dinmo ([a-z][^;&|#`]*)", line):
            name, *words = call.split()
            if words and f"{name} {words[0]}" in known:
                name = f"{name} {words.pop(0)}"
            if name not in known:
                wrong.append(f"dinmo {name}")
                continue
            wrong += [f"dinmo {name} {word}" for word in words if word.startswith("--") and word.split("=")[0] not in options(known[name])]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_that_a_page_names_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for line in code(page) for target in re.findall(r"(?:^|\s)make ([a-z-]+)(?=$|\s)", line)}

    assert named <= targets


def test_make_targets_are_all_named_in_contributing_or_readme() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)) - {"help", "clean"}
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "CONTRIBUTING.md"))

    assert {target for target in targets if f"make {target}" not in text} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    missing = [link for link in links if link and not (page.parent / link).exists()]
    for span in re.findall(r"`([\w./-]+)`", text):
        if _ROOMS.match(span) and "/" in span and not (ROOT / span).exists():
            missing.append(span)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_components_and_fields_that_a_page_names_exist(page: Path) -> None:
    wrong = [name for name in re.findall(r"\bdinmo_pipeline\.([A-Z]\w+)", page.read_text(encoding="utf-8")) if name not in COMPONENTS]
    for language, block in blocks(page):
        if language == "yaml":
            wrong += [problem for document in yaml.safe_load_all(block) for problem in _unknown(document)]
    assert wrong == []


def _unknown(document: Any) -> Iterator[str]:
    if not isinstance(document, dict) or not str(document.get("type", "")).startswith("dinmo_pipeline."):
        return
    name, attributes = document["type"].removeprefix("dinmo_pipeline."), document.get("attributes", {})
    if name in COMPONENTS:
        yield from (f"{name}.{field}" for field in attributes if field not in COMPONENTS[name].model_fields)
    format_ = attributes.get("format")
    options_ = format_ if isinstance(format_, dict) else {"type": format_} if format_ else {}
    if options_:
        known = FORMATS[options_["type"]].model_fields if options_["type"] in FORMATS else {}
        yield from (f"format.{option}" for option in options_ if option not in known)


def test_reference_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m dinmo_pipeline_tests.reference"


def test_environment_variables_of_the_code_are_in_the_reference() -> None:
    found = {
        name
        for path in (ROOT / "dinmo_pipeline").rglob("*.py")
        for name in re.findall(r"\b(DINMO_[A-Z_]+|DAGSTER_[A-Z_]+)\b", path.read_text(encoding="utf-8"))
    }

    assert found == set(VARIABLES)


def test_pages_are_all_reached_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [name_of(page) for page in PAGES if page.name != "README.md" and name_of(page) not in text] == []


OPERATIONS = ROOT / "docs" / "operations.md"


def test_operations_say_what_an_import_takes_at_every_limit() -> None:
    section = OPERATIONS.read_text(encoding="utf-8").partition("## What others may send\n")[2].partition("\n## ")[0]

    rows = re.findall(r"^\| `(\w+)` ([\d,]+)(?:, 1/(\d+) of it)? \|", section, re.MULTILINE)

    measured = [(name, int(value.replace(",", "")) * int(part or 1)) for name, value, part in rows]
    assert measured == [(name, default) for name, default, _ in limit_words()]


def test_programs_that_operations_and_the_image_start_are_installed() -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    started = {
        *re.findall(r"ExecStart=/opt/dinmo/bin/([\w-]+)", text),
        *re.findall(r"^  ([a-z-]+) --host", text, re.MULTILINE),
        *(json.loads(command)[0] for command in re.findall(r"^CMD (\[.*\])$", image, re.MULTILINE)),
    }

    assert started == {"dagster-daemon", "dinmo-webserver"}
    assert all((BIN / name).exists() for name in started)


def test_units_and_the_image_make_the_storage_before_dagster_starts() -> None:
    unit = OPERATIONS.read_text(encoding="utf-8")
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    assert unit.index("ExecStartPre=/opt/dinmo/bin/dinmo instance init") < unit.index("ExecStart=/opt/dinmo/bin/dagster-daemon")
    assert re.search(r"dinmo instance init\\nexec \"\$@\"\\n' > /usr/local/bin/start", image)
    assert re.search(r'^ENTRYPOINT \["start"\]$', image, re.MULTILINE)


def test_image_runs_without_rights_and_holds_what_it_copies() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*)$", image, re.MULTILINE) for name in line.split()[:-1]]

    assert re.findall(r"^USER (\d+)$", image, re.MULTILINE) == ["10001"]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert "readme" in (ROOT / "pyproject.toml").read_text(encoding="utf-8"), "why README.md is copied"


DOCKER = """\
#!/usr/bin/env bash
echo "$*" >> "$(dirname "$0")/calls"
if [ "$2" = imagetools ]; then echo "$ANSWER"; fi
"""
DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("answer", "chosen", "base"),
    [
        (DIGEST, "", f"python:3.12-slim@{DIGEST}"),
        ("", f"python:3.13-slim@{DIGEST}", f"python:3.13-slim@{DIGEST}"),
        (DIGEST, "mirror.example:5000/python:3.12-slim", f"mirror.example:5000/python:3.12-slim@{DIGEST}"),
        ("", "", None),
        ("<no value>", "", None),
        (DIGEST, "python@latest", None),
    ],
)
def test_image_is_built_on_a_base_that_is_known_by_its_digest(answer: str, chosen: str, base: str | None, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("Dockerfile", "scripts/image"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "docker").write_text(DOCKER, encoding="utf-8")
    (tmp_path / "docker").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ANSWER": answer, "PYTHON": chosen}
    ran = subprocess.run([tmp_path / "scripts/image", "deliveries"], env=env, capture_output=True, text=True, check=False)

    calls = tmp_path / "calls"
    builds = [call for call in calls.read_text().splitlines() if "imagetools" not in call] if calls.exists() else []
    if base is None:
        assert (ran.returncode, builds) == (1, []), ran.stderr
        assert "ends in no digest" in ran.stderr
        return
    assert ran.returncode == 0, ran.stderr
    (build,) = builds
    assert f"--build-arg PYTHON={base} " in build
    assert f"--label org.opencontainers.image.base.digest={DIGEST} --tag deliveries ." in build
    assert (tmp_path / "dist/image-base.txt").read_text() == f"{base}\n"


def test_dagsters_settings_in_operations_are_those_that_it_takes(tmp_path: Path) -> None:
    _, block = [block for language, block in blocks(OPERATIONS) if language == "yaml"]
    settings = yaml.safe_load(block)
    assert settings.pop("storage")["postgres"]["postgres_db"]["db_name"] == "dagster", "its driver is not installed here"
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")

    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_enabled
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 4
        assert isinstance(instance.run_launcher, ForkingRunLauncher)


def test_every_recipe_for_dagster_keeps_its_telemetry_off() -> None:
    recipes = [yaml.safe_load(block) for language, block in blocks(OPERATIONS) if language == "yaml"]
    assert [each["telemetry"] for each in (*recipes, yaml.safe_load(NEW_HOME_SETTINGS))] == [{"enabled": False}] * 3


def test_operations_and_a_new_home_have_the_launcher_and_run_monitoring(tmp_path: Path) -> None:
    lines, _ = [block for language, block in blocks(OPERATIONS) if language == "yaml"]
    (tmp_path / "dagster.yaml").write_text(lines, encoding="utf-8")

    assert yaml.safe_load(lines).items() <= yaml.safe_load(NEW_HOME_SETTINGS).items()
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, ForkingRunLauncher)
