"""`dinmo forget` where Dagster keeps its runs on a Postgres server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dinmo_pipeline_tests.cli.conftest import Dinmo, dinmo
from dinmo_pipeline_tests.people import FIRST, activation, make_people, write_people

from .servers import Server

__all__ = ["dinmo"]

pytestmark = pytest.mark.readers

STORAGE = """\
telemetry: {{enabled: false}}
storage:
  postgres:
    postgres_url: "postgresql://postgres@/{database}?host={folder}&options=-csearch_path%3Ddagster&password=planted-secret"
"""
NAME = 'Zoë "Zed" O\'Planted'


@pytest.fixture
def database(postgres_server: Server, tmp_path: Path) -> str:
    """Dagster's home of the project in `tmp_path` on an empty database, whose name this is."""
    name = "dagster_runs"
    postgres_server.run(f"SET client_min_messages = warning;\nDROP DATABASE IF EXISTS {name};\nCREATE DATABASE {name};")
    asked(postgres_server, name, "CREATE SCHEMA dagster")
    home = tmp_path / ".dinmo" / "dagster"
    home.mkdir(parents=True)
    folder = postgres_server.client[postgres_server.client.index("-h") + 1]
    (home / "dagster.yaml").write_text(STORAGE.format(database=name, folder=folder), encoding="utf-8")
    return name


def in_tables(server: Server, database: str) -> str:
    """All that the database has, as SQL."""
    command = ["pg_dump", *server.client[server.client.index("-h") :], database]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def asked(server: Server, database: str, query: str) -> str:
    return server.run(f"\\connect {database}\n{query}").strip()


def test_runs_that_quote_the_person_are_gone_from_tables_and_pages(
    tmp_path: Path, dinmo: Dinmo, postgres_server: Server, database: str
) -> None:
    root = make_people(tmp_path, activation("changes"), settings="preview_rows = 5\n")
    write_people(root, [*FIRST, (4, NAME, 52)])
    assert dinmo("sync", "changes", project=root).code == 0
    assert "Planted" in in_tables(postgres_server, database)
    write_people(root, FIRST)
    assert dinmo("sync", "changes", project=root).code == 0
    runs, files = "SELECT count(*) FROM dagster.runs", "SELECT pg_relation_filenode('dagster.event_logs')"
    before = asked(postgres_server, database, files)

    dry = dinmo("forget", "--dry-run", f"name={NAME}", project=root)
    assert "\nruns\t" in dry.out
    assert (asked(postgres_server, database, runs), asked(postgres_server, database, files)) == ("2", before)
    done = dinmo("forget", f"name={NAME}", project=root)

    assert done.code == 0, done.out
    assert asked(postgres_server, database, runs) == "1"
    assert "Planted" not in in_tables(postgres_server, database)
    # The table lies in another file, without what was deleted.
    assert asked(postgres_server, database, files) != before


def test_what_no_run_has_is_told(tmp_path: Path, dinmo: Dinmo, postgres_server: Server, database: str) -> None:
    root = make_people(tmp_path, activation("changes"))
    assert dinmo("sync", "changes", project=root).code == 0
    postgres_server.run(f"""\\connect {database}
    INSERT INTO dagster.job_ticks (job_origin_id, status, type, timestamp, tick_body)
    VALUES ('x', 'FAILURE', 'SENSOR', now(), '{{"error": "Zo\\u00eb \\"Zed\\" O''Planted"}}');""")
    ran = dinmo("forget", f"name={NAME}", project=root)
    assert ran.code == 1
    [line] = [line for line in ran.out.splitlines() if line.startswith("database\t")]
    assert f"\tPostgres of this machine, database {database}, table" in line
    assert "table job_ticks\t1\tleft as it is\tit still quotes the person" in line
    assert "Planted" not in line
    assert "planted-secret" not in ran.out + ran.err
