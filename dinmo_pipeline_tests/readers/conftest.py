"""What the tests of all readers share: the delivered files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .page import Recipe, whole_files
from .product import Files
from .servers import Server, mariadb, postgres
from .spark import Spark, spark

ONE_COLUMN = Recipe("PostgreSQL", "one column", {"format": "csv", "mapping": ["name"]}, ())


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("delivered"), [*whole_files(), ONE_COLUMN])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    with mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def spark_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    with spark(tmp_path_factory.mktemp("spark")) as started:
        yield started
