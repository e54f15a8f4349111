"""What all tests share; `--fast` runs those of the inner loop alone."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from dinmo_pipeline import masking

from . import random_cases as random_cases
from .inner_loop import is_fast, kept_inside


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--fast`."""
    parser.addoption("--fast", action="store_true", help="run the tests of the inner loop alone: no servers, no processes, little time")


def pytest_configure(config: pytest.Config) -> None:
    """Load what other tests than those of the inner loop need."""
    if not config.getoption("--fast"):
        config.pluginmanager.import_plugin("dinmo_pipeline_tests.quicker")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out whole files: to import them takes longer than the inner loop may."""
    is_left_out = config.getoption("--fast") and collection_path.suffix == ".py" and not is_fast(collection_path)
    return True if is_left_out else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the inner loop: those of its files, but for the ones that share a server."""
    for item in items:
        if is_fast(item.path) and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.fast)


@pytest.fixture(autouse=True)
def fast_tests_stay_inside(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test of the inner loop that opens a connection or starts a process fail, wherever it runs."""
    with kept_inside() if request.node.get_closest_marker("fast") else nullcontext():
        yield


@pytest.fixture(scope="session", autouse=True)
def states_lie_in_a_folder_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A project in a folder that databases cannot be in keeps its state elsewhere: not in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("states")))
        yield


@pytest.fixture(scope="session", autouse=True)
def commands_can_be_interrupted() -> Iterator[None]:
    """Take Ctrl-C where this process ignores it, as a shell's background job does: what tests start would ignore it, too."""
    ignores = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    if ignores:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if ignores:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture(autouse=True)
def secrets_are_forgotten() -> Iterator[None]:
    """What one test takes for a secret is a word in another one's messages."""
    yield
    masking._secrets.clear()
    masking._known.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def migrations_are_read_once() -> Iterator[None]:
    """Dagster's migrations, which each of its databases (three an instance, one a run) asks for its newest version, are read once.

    Alembic would import all of their files again for each: with the waits for the disk below, a quarter of the CPU of tests that run a job.
    """
    read = ScriptDirectory.from_config
    kept: dict[str | None, ScriptDirectory] = {}

    def from_config(config: Any) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in kept:
            kept[place] = read(config)
        return kept[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", from_config)
        yield


@pytest.fixture(scope="session", autouse=True)
def dagster_does_not_wait_for_the_disk() -> Iterator[None]:
    """Dagster's databases outlive no power failure in a test, and need not wait for the disk at each of a run's events."""

    def write_on(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", write_on)
    yield
    event.remove(Engine, "connect", write_on)


@pytest.fixture(scope="session", autouse=True)
def descriptions_of_s3_are_read_once() -> Iterator[None]:
    """What Amazon's library knows of S3 (2 MB of JSON, 0.1 s of CPU a client) is read once, as one session of that library does."""
    read = JSONFileLoader.load_file
    kept: dict[str, Any] = {}

    def load_file(self: JSONFileLoader, file_path: str) -> Any:
        if file_path not in kept:
            kept[file_path] = read(self, file_path)
        return kept[file_path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", load_file)
        yield
