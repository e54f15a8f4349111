"""Masking: whatever reads like a secret, and each secret that was read, in whatever form; what is none stays as it is."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from dinmo_pipeline import masking
from dinmo_pipeline.errors import DataError, Problem
from dinmo_pipeline.masking import mask_error, masked, masked_errors, remember_secret
from dinmo_pipeline.secrets import Secret

S = "hunter2xyz"
READ_LIKE_SECRETS = [
    f"postgres_scan('host=db user=u password={S} dbname=x', 'public', 't')",
    f"postgres_scan('host=db password=''{S} 9'' dbname=x', 'p')",
    f"ATTACH 'postgres://u:{S}@h/db'",
    f"postgresql://u:p@ss/{S}@h:5432/db",
    f"https://user:{S}@host/file.csv",
    f"https://{S}@github.example/x",
    f"partner:{S}@sftp.example",
    f"Driver={{PG}};UID=x;PWD={S};Server=y",
    f"Driver={{PG}};PWD={{{S};a}};S=1",
    f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={S}==;EndpointSuffix=core",
    f"SharedAccessSignature=sv=2022&sig={S}%3D&se=1",
    f"https://a.blob.example/c?sv=2022&sig={S}%2B&se=2",
    f"aws_secret_access_key = {S}",
    f"SET s3_secret_access_key = 'a''{S}'",
    f"CREATE SECRET x (TYPE postgres, PASSWORD '{S}')",
    f"CREATE SECRET (TYPE s3, KEY_ID 'AK', SECRET '{S}')",
    f"Authorization: Bearer {S}",
    f"'Authorization': 'Basic {S}='",
    f'{{"Authorization": "{S}"}}',
    f"got Bearer {S}.abc",
    f'{{"password": "{S}"}}',
    f'{{\\"password\\": \\"{S}\\"}}',
    f"-----BEGIN RSA PRIVATE KEY-----\n{S}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN OPENSSH PRIVATE KEY-----\\n{S}\\n cut off",
    f"https://hooks.slack.com/services/T00/B00/{S}",
    f"http://127.0.0.1/services/T0/B0/{S}",
    f"https://h/x?a=1&access_token={S}&b=2",
    f"https://h/x?X-Amz-Signature={S}",
    f"password=\\'{S}\\' x",
    f'password="{S} and"',
    f"password%3D{S}",
    f"read_csv('x', password => '{S}')",
    f"LINE 1: ...host=h password={S} dbn...",
    f"password='{S}",
    f"client_secret={S}&grant=1",
]
NO_SECRETS = [
    "could not find the password of storage partner: the environment variable X is not set, or empty; set it where the sync runs",
    "sftp://partner@host:22/out/a.csv: Permission denied",
    "removed_columns: key needs the whole primary key in 'mapping', and id is not there",
    "http://127.0.0.1:9000/bucket/a@b.csv",
    "defs/x.yaml:13: model x: sql: syntax error at or near 'x'",
    "2025-04-14 07:00:00 to a@b.example",
    "secret: expected {env: NAME} or {file: PATH}, because secrets are never written in YAML",
    "unexpected token 'x'; SignatureDoesNotMatch: the request signature we calculated",
    "s3://bucket/key=1/x.parquet, token_count=3",
]
ANY = "p@ss w'ord/+\"&é%"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test has remembered is forgotten after it, and by nobody else."""
    before = dict(masking._secrets)
    yield
    masking._secrets.clear()
    masking._secrets.update(before)
    masking._known.cache_clear()


@pytest.mark.parametrize("text", READ_LIKE_SECRETS)
def test_what_reads_like_a_secret_is_masked(text: str) -> None:
    assert S not in masked(text)
    assert "***" in masked(text)


@pytest.mark.parametrize("text", NO_SECRETS)
def test_what_is_none_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "form",
    [
        ANY,
        quote(ANY),
        quote(ANY, safe=""),
        quote_plus(ANY),
        base64.b64encode(ANY.encode()).decode(),
        json.dumps(ANY)[1:-1],
        json.dumps(ANY, ensure_ascii=False)[1:-1],
        repr(ANY)[1:-1],
        ANY.replace("'", "''"),
    ],
)
def test_secret_that_was_read_is_masked_in_every_form(form: str) -> None:
    remember_secret(ANY)

    assert masked(f"the server said: {form}!") in {"the server said: ***!", "the server said: ***=!", "the server said: ***==!"}


def test_parts_of_a_secret_that_stand_alone_are_masked() -> None:
    remember_secret('{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w\\n-----END"}')
    remember_secret("https://hooks.example/services/T0/B0/S3CRET TOKEN of mine\n")

    assert "MIIEvQ" not in masked("line MIIEvQIBADANBgkqhkiG9w of it")
    assert "S3CRET" not in masked("URL can't contain control characters. '/services/T0/B0/S3CRET TOKEN of mine' (found at least ' ')")


def test_short_secret_is_masked_as_a_word_alone() -> None:
    remember_secret("test")

    assert masked("test, latest tests") == "***, latest tests"


def test_secret_is_masked_from_the_moment_it_is_read_without_its_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from a file 8472\r\n\n", encoding="utf-8")
    monkeypatch.setenv("KEY", "from a variable 8472\n")

    assert Secret(file="key").resolve(tmp_path, what="it") == "from a file 8472"
    assert Secret(env="KEY").resolve(tmp_path, what="it") == "from a variable 8472"
    assert masked("from a file 8472, from a variable 8472") == "***, ***"


def test_our_own_errors_hold_no_secret() -> None:
    error = DataError(f"refreshing models.x: its query failed: ... password={S} ...")

    assert S not in f"{error!s}{error!r}{error.args}{error.without_data}"
    assert S not in str(Problem("defs.yaml", 1, f"unknown field 'password={S}'"))


class Odd(Exception):
    """Its text is not from its arguments."""

    def __str__(self) -> str:
        return f"https://u:{S}@host"


def test_causes_and_notes_of_an_error_hold_no_secret() -> None:
    def raised() -> None:
        with masked_errors():
            try:
                try:
                    raise Odd
                except Odd as odd:
                    raise OSError(5, "failed", f"/x?token={S}") from odd
            except OSError as error:
                error.add_note(f"password={S}")
                raise ValueError(f"Bearer {S}") from error

    with pytest.raises(ValueError, match=r"Bearer \*\*\*") as caught:
        raised()
    shown = "".join(traceback.format_exception(caught.value))
    assert S not in shown
    assert "Odd: https://u:***@host" in shown
    assert "in raised" in shown, "where it happened is still told"


def test_error_without_secrets_stays_the_one_it_is() -> None:
    error = ValueError("nothing to hide")

    assert mask_error(error) is error


def test_logs_of_other_libraries_hold_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    remember_secret(ANY)
    logger = logging.getLogger("another_package")

    logger.warning("GET %s with %r", f"https://h/x?sig={S}", ANY)
    try:
        raise Odd
    except Odd:
        logger.exception("failed")

    assert S not in caplog.text
    assert ANY not in caplog.text
    assert "Odd: https://u:***@host" in caplog.text
