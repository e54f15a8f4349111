"""What all tests share; `--fast` runs those of the inner loop alone."""

from __future__ import annotations

import signal
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
