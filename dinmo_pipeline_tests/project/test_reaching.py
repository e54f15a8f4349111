"""Queries that reach for other databases or hold a secret: refused with their line, without the secret; files stay allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dinmo_pipeline.masking import remember_secret
from dinmo_pipeline.project.checks.sql import read_queries

from ..cli.conftest import Dinmo
from ..people import activation, make_people

SECRET = "hunter2-and-more"
CONNECTS = {
    "postgres_scan": f"FROM postgres_scan('host=db user=u password={SECRET}', 'public', 't')",
    "qualified and in other letters": f"SELECT * FROM main.\"Postgres_Scan\"('postgresql://u:{SECRET}@db/x', 'public', 't')",
    "postgres_query": f"SELECT (SELECT count(*) FROM postgres_query('password={SECRET}', 'x'))",
    "mysql_scan in a CTE": f"WITH x AS (FROM mysql_scan('host=db passwd={SECRET}', 'a', 'b')) FROM x",
    "computed": f"FROM postgres_scan_pushdown('pass' || 'word={SECRET}', 'p', 't')",
    "attaching": f"FROM postgres_attach('password={SECRET}')",
    "snowflake": f"FROM snowflake_scan('account=x;PWD={SECRET}')",
    "in a pivot": f"PIVOT (FROM postgres_scan('password={SECRET}', 'p', 't')) ON a USING sum(b)",
    "in a query of a query": f"FROM query('FROM postgres_scan(''password={SECRET}'', ''p'', ''t'')')",
    "getenv": "SELECT getenv('PASSWORD')",
    "address of a database": "FROM 'postgres:dbname=x host=db'",
    "address of MotherDuck": f"FROM 'md:x?motherduck_token={SECRET}'",
}
SECRETS = {
    "user and password": f"FROM 'https://user:{SECRET}@host/file.csv'",
    "password alone": f"FROM read_csv('https://:{SECRET}@host/file.csv')",
    "token": f"FROM read_parquet('https://host/file.parquet?token={SECRET}')",
    "signature": f"FROM read_csv(['a.csv', 'https://a.blob.core.windows.net/c/f.csv?sv=1&sig={SECRET}'])",
    "s3 in its query": f"FROM 's3://bucket/x.parquet?s3_secret_access_key={SECRET}'",
    "connection string": f"FROM read_csv('DefaultEndpointsProtocol=https;AccountKey={SECRET};')",
    "parameter": f"FROM read_csv('x.csv', password => '{SECRET}')",
    "key of a file": f"FROM read_duckdb('x.duckdb', table_name = 't', encryption_key = '{SECRET}')",
    "key of a Parquet file": f"FROM read_parquet('x', encryption_config = {{footer_key_value: '{SECRET}'}})",
    "glob": f"FROM glob('sftp://user:{SECRET}@host/*')",
    "summary": f"SUMMARIZE 'https://user:{SECRET}@host/*'",
}
STATEMENTS = {
    f"ATTACH 'postgres://u:{SECRET}@h/db' AS p": "ATTACH",
    "INSTALL postgres": "LOAD",
    "LOAD httpfs": "LOAD",
    f"CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET '{SECRET}')": "CREATE",
    f"SET s3_secret_access_key = '{SECRET}'": "SET",
    "COPY models.x TO 'x.csv'": "COPY",
    "EXPORT DATABASE 'x'": "EXPORT",
    "IMPORT DATABASE 'x'": "PRAGMA",
    "CALL pragma_version()": "CALL",
    "PRAGMA database_list": "PRAGMA",
}
ALLOWED = [
    "SELECT * FROM 'people.parquet'",
    "FROM read_csv('data/*.csv', columns = {'token': 'VARCHAR', 'password': 'VARCHAR'})",
    "FROM read_duckdb('crm.duckdb', table_name = 'customers')",
    "FROM sqlite_scan('crm.sqlite', 'customers')",
    "FROM 's3://bucket/x.parquet'",
    "FROM 'https://host/x.csv?v=1'",
    "SELECT token, secret, password FROM models.x WHERE note LIKE 'password=%' OR mail = 'a:b@host.example'",
    "SELECT postgres_id FROM models.x",
    "SELECT 1 AS postgres_scan",
    "FROM query('SELECT 1')",
    "PIVOT models.x ON a USING sum(b)",
    "DESCRIBE models.x",
]


@pytest.mark.parametrize("sql", [*CONNECTS.values(), *SECRETS.values()], ids=[*CONNECTS, *SECRETS])
def test_query_that_reaches_out_is_refused_without_its_secret(sql: str) -> None:
    query = read_queries([f"-- a comment\n{sql}"])[f"-- a comment\n{sql}"]

    assert query.problem is not None
    assert SECRET not in query.problem
    assert "'deps'" in query.problem


@pytest.mark.parametrize(("sql", "kind"), STATEMENTS.items())
def test_statement_that_is_no_query_is_refused_alone_and_before_one(sql: str, kind: str) -> None:
    alone, before = read_queries([sql, f"{sql}; SELECT 1"]).values()

    assert kind in (alone.problem or "")
    assert f"2 statements ({kind}, SELECT)" in (before.problem or "")
    assert SECRET not in f"{alone.problem}{before.problem}"


@pytest.mark.parametrize("sql", ALLOWED)
def test_query_of_files_and_tables_is_allowed(sql: str) -> None:
    assert read_queries([sql])[sql].problem is None


def test_check_refuses_them_with_file_and_line_wherever_they_stand(tmp_path: Path, dinmo: Dinmo) -> None:
    scan = f"mysql_scan('password={SECRET}', 'a', 'b')"
    more = f"""\
---
type: dinmo_pipeline.Model
attributes:
  name: written
  primary_key: [id]
  sql: |
    SELECT *
    FROM {scan}
---
type: dinmo_pipeline.Model
attributes: {{name: filed, primary_key: [id], sql_file: filed.sql}}
---
type: dinmo_pipeline.Segment
attributes:
  name: some
  model: people
  where: >-
    id IN (FROM {scan})
"""
    root = make_people(tmp_path, activation("changes") + more)
    folder = next(root.rglob("defs.yaml")).parent
    (folder / "filed.sql").write_text(f"-- rows of the shop\n\nFROM 'https://u:{SECRET}@host/x.csv'\n", encoding="utf-8")

    done = dinmo("check", project=root)

    lines = (folder / "defs.yaml").read_text(encoding="utf-8").splitlines()
    where = next(number for number, line in enumerate(lines, start=1) if line.startswith("  where"))
    written = next(number for number, line in enumerate(lines, start=1) if line.startswith("    FROM"))
    assert done.code == 2
    assert f"defs.yaml:{written}: Model written: sql: it calls mysql_scan" in done.err + done.out
    assert "filed.sql:3: Model filed: sql_file: the name of a file holds what reads like" in done.err + done.out
    assert f"defs.yaml:{where}: Segment some: where: it calls mysql_scan" in done.err + done.out
    assert SECRET not in done.err + done.out


def test_password_that_is_an_ordinary_word_keeps_no_query_from_running() -> None:
    remember_secret("customers")
    for sql in ("FROM 'customers.parquet'", "SELECT 'customers' AS source FROM models.customers", "FROM read_csv('data/customers/*.csv')"):
        assert read_queries([sql])[sql].problem is None
