"""No secret of a real server shows anywhere: not in what is printed or logged at any level, in the state, in Dagster's storage."""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import sys
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncssh
import pytest

from dinmo_pipeline_tests.servers import azurite, gcs, s3
from dinmo_pipeline_tests.servers.every_storage import *  # noqa: F403 (its fixtures)
from dinmo_pipeline_tests.servers.mail import PASSWORD, USER, MailServer, running_mail
from dinmo_pipeline_tests.servers.openssh import OpenSsh, make_key
from dinmo_pipeline_tests.servers.samba import Samba
from dinmo_pipeline_tests.servers.vsftpd import Vsftpd
from dinmo_pipeline_tests.servers.web import WebServer, running_web
from dinmo_pipeline_tests.servers.webdav import WebDav

from ..people import MODEL, activation
from ..random_cases import CASES as DINMO_TEST_CASES
from .conftest import Dinmo

_LIBRARIES = (
    *("asyncssh", "azure", "boto3", "botocore", "google", "urllib3", "requests", "s3transfer", "smtplib"),
    *("fsspec", "httpcore", "httpx", "smbclient", "smbprotocol", "spnego", "webdav4"),
)


@dataclass(frozen=True)
class Case:
    """A storage's type, the fields of one that lets in and of one that does not.

    `secrets` by the variable that holds each, `given` those that the server gave since.
    """

    type: str
    good: str
    bad: str
    secrets: Mapping[str, str]
    given: Callable[[], list[str]] = list


def sftp(request: pytest.FixtureRequest, folder: Path) -> Case:
    server: OpenSsh = request.getfixturevalue("openssh_server")
    account = server.login("plain")
    make_key(folder / "locked", "-N", "open sesame now")
    login = f"host: {server.host}, port: {server.port}, username: {account.username}, host_key: {server.host_key}"
    secrets = {
        "RIGHT": account.password or server.private_key.read_text(),
        "WRONG": "hunter2hunter2",
        "LOCKED": (folder / "locked").read_text(),
        "PHRASE": "open sesame now",
    }
    good = "password: {env: RIGHT}" if account.password else "private_key: {env: RIGHT}"
    return Case(
        "SftpServer",
        f"{login}, {good}",
        f"{login}, password: {{env: WRONG}}, private_key: {{env: LOCKED}}, passphrase: {{env: PHRASE}}",
        secrets,
    )


def ftps(request: pytest.FixtureRequest, folder: Path) -> Case:
    server: Vsftpd = request.getfixturevalue("vsftpd_explicit")
    login = f"host: {server.host}, port: {server.port}, username: {server.login.username}, ca_file: {server.authority}"
    secrets = {"RIGHT": server.login.password, "WRONG": "hunter2 hunter2"}
    return Case("FtpServer", f"{login}, password: {{env: RIGHT}}", f"{login}, password: {{env: WRONG}}", secrets)


def azure_by_key(request: pytest.FixtureRequest, folder: Path) -> Case:
    server: azurite.Azurite = request.getfixturevalue("azurite_server")
    place = f"account_url: {server.url()}, container: {azurite.CONTAINER}"
    wrong = server.connection_string.replace(server.key, base64.b64encode(b"w" * 64).decode())
    secrets = {"RIGHT": server.key, "WRONG": wrong}
    return Case("AzureContainer", f"{place}, account_key: {{env: RIGHT}}", f"{place}, connection_string: {{env: WRONG}}", secrets)


def azure_by_token(request: pytest.FixtureRequest, folder: Path) -> Case:
    server: azurite.Azurite = request.getfixturevalue("azurite_server")
    place = f"account_url: {server.url()}, container: {azurite.CONTAINER}"
    secrets = {"RIGHT": server.sas_token("rwdlac"), "WRONG": server.sas_token("r")}
    return Case("AzureContainer", f"{place}, sas_token: {{env: RIGHT}}", f"{place}, sas_token: {{env: WRONG}}", secrets)


def gcs_bucket(request: pytest.FixtureRequest, folder: Path) -> Case:
    request.getfixturevalue("gcs_relay")
    server: gcs.GcsServer = request.getfixturevalue("gcs_server")
    tokens: gcs.TokenServer = request.getfixturevalue("gcs_tokens")
    place = f"endpoint_url: {server.url()}, bucket: {gcs.BUCKET}"
    # Its account is one that the server of tokens does not know.
    wrong = tokens.key_text.replace(gcs.ACCOUNT, "nobody@project.iam.gserviceaccount.com")
    secrets = {"RIGHT": tokens.key_text, "WRONG": wrong}
    key = "service_account_key: {env: "
    return Case("GcsBucket", f"{place}, {key}RIGHT}}", f"{place}, {key}WRONG}}", secrets, given=lambda: tokens.tokens)


def s3_bucket(request: pytest.FixtureRequest, folder: Path) -> Case:
    server: s3.S3Server = request.getfixturevalue("s3_server")
    owner = server.keys["owner"]
    place = f"endpoint_url: {server.url()}, bucket: {s3.BUCKET}, region: {s3.REGION}, access_key_id: {owner.access_key_id}"
    secrets = {"RIGHT": owner.secret_access_key, "WRONG": "w" * 8 + owner.secret_access_key[8:]}
    key = "secret_access_key: {env: "
    return Case("S3Bucket", f"{place}, {key}RIGHT}}", f"{place}, {key}WRONG}}", secrets)


def smb(request: pytest.FixtureRequest, folder: Path) -> Case:
    server: Samba = request.getfixturevalue("samba_server")
    place, user = f'url: "{server.url()}/secrets"', f"username: {server.login.username}"
    secrets = {"RIGHT": server.login.password, "WRONG": "hunter2-of-the-share"}
    options = f"{place}, options: {{{user}, password: {{env: "
    return Case("Filesystem", f"{options}RIGHT}}}}", f"{options}WRONG}}}}", secrets)


def webdav(request: pytest.FixtureRequest, folder: Path) -> Case:
    server: WebDav = request.getfixturevalue("webdav_server")
    secrets = {"RIGHT": server.login.password, "WRONG": "hunter2-of-the-cloud"}
    options = f'url: "webdav://secrets", options: {{base_url: "{server.base_url()}", auth: [{server.login.username}, {{env: '
    return Case("Filesystem", f"{options}RIGHT}}]}}", f"{options}WRONG}}]}}", secrets)


CASES = {
    "sftp": sftp,
    "ftps": ftps,
    "azure": azure_by_key,
    "azure_token": azure_by_token,
    "gcs": gcs_bucket,
    "s3": s3_bucket,
    "smb": smb,
    "webdav": webdav,
}

# A run of Dagster takes two seconds. What it keeps of an error is the same for all storages, so a longer look takes all, a short one two.
IN_DAGSTER = CASES if DINMO_TEST_CASES > 1 else ("sftp", "s3")
USED = {storage for name in IN_DAGSTER for storage in (name, f"{name}_locked")}


def definitions(name: str, case: Case, *, bad: str, used: Collection[str] = USED) -> str:
    """The storage NAME, which lets in, and NAME_locked, which does not, and what uses each that is `used`."""
    text = ""
    for storage, fields in ((name, case.good), (f"{name}_locked", f"retries: 0, {bad}")):
        text += f"""\
---
type: dinmo_pipeline.{case.type}
attributes: {{name: {storage}, {fields}}}
"""
        if storage in used:
            text += uses(storage)
    return text.replace("{env: ", f"{{env: {name}_")


def variables(cases: Mapping[str, Case]) -> dict[str, str]:
    """The environment that `definitions` of the cases refer to."""
    return {f"{name}_{variable}": secret for name, case in cases.items() for variable, secret in case.secrets.items()}


def pasted(case: Case) -> str:
    """The fields of the storage that does not let in, with a secret where none belongs."""
    return f"{case.bad}, key: [{{oops: 1}}, {json.dumps([*case.secrets.values()][-1])}]"


def uses(storage: str) -> str:
    """A delivery to the storage, into the folder that an inbox there takes files from."""
    source = storage.replace("_", "")
    inbox = f"""\
---
type: dinmo_pipeline.Inbox
attributes: {{name: {storage}, storage: {storage}, folder: {storage}, settle_seconds: 0}}
---
type: dinmo_pipeline.Feed
attributes: {{inbox: {storage}, entity: contacts, source: {source}, primary_key: [id]}}
"""
    return inbox + activation(
        f"to_{storage}",
        destination=storage,
        folder=f"{storage}/raw",
        file_name=f'"contacts_{source}_{{YYYY}}{{MM}}{{DD}}"',
        run_type="full_only",
        sync_mode="snapshot",
    )


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged, by whomever, at every level; it goes to the error stream, too, where Dagster takes it."""
    caplog.set_level(logging.DEBUG)
    for name in _LIBRARIES:
        caplog.set_level(logging.DEBUG, logger=name)
    asyncssh.set_debug_level(2)
    handler = logging.StreamHandler(sys.__stderr__)
    logging.getLogger().addHandler(handler)
    try:
        yield caplog
    finally:
        logging.getLogger().removeHandler(handler)
        asyncssh.set_debug_level(1)


@pytest.mark.xdist_group("s3")
def test_secret_of_a_storage_shows_nowhere(
    request: pytest.FixtureRequest, dinmo: Dinmo, logged: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = {name: make(request, tmp_path) for name, make in CASES.items()}
    for variable, secret in variables(cases).items():
        monkeypatch.setenv(variable, secret)
    root = tmp_path / "project"
    good, bad = [*cases], [f"{name}_locked" for name in cases]
    # What a server says while it is set up is its own.
    logged.clear()
    write(root, MODEL + "".join(definitions(name, case, bad=case.bad) for name, case in cases.items()))

    tried = {storage: dinmo("test", storage, project=root) for storage in (*good, *bad)}
    sent = {storage: dinmo("sync", "to_s3", "--to", storage, project=root) for storage in (*good, *bad)}
    ran = [
        dinmo("sync", "--all", project=root),
        dinmo("import", *IN_DAGSTER, project=root),
        dinmo("import", "s3_locked", project=root),
        dinmo("status", project=root),
    ]

    for done in (tried, sent):
        assert {storage for storage, each in done.items() if each.code == 0} == {*good}, done
    assert [each.code for each in ran] == [1, 0, 1, 1], ran
    assert all(f"contacts_{name}" in ran[1].out for name in IN_DAGSTER)
    write(root, MODEL + "".join(definitions(name, case, bad=pasted(case)) for name, case in cases.items()))
    ran.append(dinmo("check", project=root))
    assert ran[-1].code == 2
    texts = [text for each in (*tried.values(), *sent.values(), *ran) for text in (each.out, each.err)]
    shown = [logged.text, *texts, *stored(root / ".dinmo")]
    assert found({"DEBUG", "contacts_s3"}, shown) == {"DEBUG", "contacts_s3"}, "what is looked through does not hold what it should"
    assert not found({secret for case in cases.values() for secret in (*case.secrets.values(), *case.given())}, shown)
    assert open_to_others(root / ".dinmo") == set()


_KEY = base64.b64encode(b"k" * 32).decode()
SECRETS_OF_MESSAGES = {"sesame", "tell-nobody", _KEY, "no base64 at all", PASSWORD, "nobody knows this", "unheard"}


def notifications(web: WebServer, mail: MailServer) -> tuple[str, dict[str, str]]:
    """Every channel, some that carry messages and some that cannot; and the environment that they refer to."""
    smtp = f"email: {{host: 127.0.0.1, port: {mail.port}, from: a@shop.example, to: b@shop.example, tls: none, username: {USER}"
    channels = {
        "slack": "slack: {webhook_url: {env: SLACK}}",
        "nowhere": "slack: {webhook_url: {env: NOWHERE}}",
        "hook": "webhook: {url: {env: HOOK}, secret: {env: KEY}}",
        "odd": "webhook: {url: {env: HOOK}, secret: {env: NOT_A_KEY}}",
        "mail": f"{smtp}, password: {{env: MAIL}}}}",
        "refused": f"{smtp}, password: {{env: WRONG}}}}",
    }
    told = "".join(f"---\ntype: dinmo_pipeline.Notify\nattributes: {{name: {name}, {text}}}\n" for name, text in channels.items())
    return told, {
        "SLACK": f"{web.url}/services/T000/B000/sesame",
        "HOOK": f"{web.url}/hook?token=tell-nobody",
        "KEY": f"whsec_{_KEY}",
        "NOT_A_KEY": "no base64 at all!",
        "MAIL": PASSWORD,
        "WRONG": "nobody knows this",
        "NOWHERE": "http://127.0.0.1:9/services/unheard",
    }


def test_secret_of_a_message_shows_nowhere(
    dinmo: Dinmo, logged: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    with running_web() as web, running_mail(login=True) as mail:
        told, environment = notifications(web, mail)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        storage = "type: dinmo_pipeline.LocalFolder\nattributes: {name: out, path: out}\n---\n"
        # One is delivered; the other one is refused until somebody makes its folder.
        write(root, storage + MODEL + activation("good") + activation("bad", create_folder="false") + told)
        web.answers = [404, 500, 200]
        monkeypatch.setattr("dinmo_pipeline.alerts.notifier._PAUSE_S", 0)

        ran = [dinmo("sync", "--all", project=root), dinmo("status", project=root)]

        assert [each.code for each in ran] == [1, 1], ran
        assert {posted.path for posted in web.posted} == {"/services/T000/B000/sesame", "/hook?token=tell-nobody"}
        assert len(mail.messages) == 1
    messages = [posted.body.decode() for posted in web.posted] + [str(message) for _, message in mail.messages]
    shown = [logged.text, *(text for each in ran for text in (each.out, each.err)), *stored(root / ".dinmo"), *messages]
    assert found({"was not told", "the folder is missing"}, shown) == {"was not told", "the folder is missing"}
    assert not found(SECRETS_OF_MESSAGES, shown)


_MISPASTED = "http://127.0.0.1:9/services/T000/B000/S3CRET behind-a-blank"
_PLANTED = {
    "SFTP": "planted in sftp 1",
    "PHRASE": "planted: phrase/2",
    "FTP": "planted&in=ftp 3",
    "SAS": "?sv=2022-11-02&sp=cw&sig=planted%2Bsig4%3D",
    "ACCOUNT": "cGxhbnRlZCBhY2NvdW50IDU=",
    "CONNECTION": "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=cGxhbnRlZCBrZXkgNg==;EndpointSuffix=core.windows.net",
    "S3": "planted/in+s3/7",
    "DAV": "planted in a list 12",
    "GCS": '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nplantedplanted8\\n-----END PRIVATE KEY-----"}',
    "SLACK": _MISPASTED,
    "HOOK": "whsec_cGxhbnRlZCBob29rIDk=",
    "MAIL": "planted's mail \\ 10\n",
}
_EVERY_FIELD = """\
---
type: dinmo_pipeline.SftpServer
attributes: {name: sftp, host: h, username: u, password: {env: SFTP}, passphrase: {env: PHRASE}, private_key: {file: key}}
---
type: dinmo_pipeline.FtpServer
attributes: {name: ftp, host: h, username: u, password: {env: FTP}}
---
type: dinmo_pipeline.AzureContainer
attributes: {name: by_token, account_name: shop, container: c, sas_token: {env: SAS}}
---
type: dinmo_pipeline.AzureContainer
attributes: {name: by_key, account_name: shopkey, container: c, account_key: {env: ACCOUNT}}
---
type: dinmo_pipeline.AzureContainer
attributes: {name: by_string, account_name: shopstring, container: c, connection_string: {env: CONNECTION}}
---
type: dinmo_pipeline.S3Bucket
attributes: {name: s3, bucket: b, access_key_id: id, secret_access_key: {env: S3}}
---
type: dinmo_pipeline.GcsBucket
attributes: {name: gcs, bucket: b, service_account_key: {env: GCS}}
---
type: dinmo_pipeline.Filesystem
attributes: {name: dav, url: "webdav://in", options: {base_url: "https://h", auth: [u, {env: DAV}]}}
---
type: dinmo_pipeline.Notify
attributes: {name: slack, slack: {webhook_url: {env: SLACK}}}
---
type: dinmo_pipeline.Notify
attributes: {name: hook, webhook: {url: "http://127.0.0.1:9/x", secret: {env: HOOK}}}
---
type: dinmo_pipeline.Notify
attributes:
  {name: mail, email: {host: 127.0.0.1, port: 9, from: a@b.example, to: c@d.example, tls: none, username: u, password: {env: MAIL}}}
"""


def test_secret_that_duckdb_quotes_shows_nowhere(
    dinmo: Dinmo, logged: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that fails quotes what it was given: here every secret of every field, none of which anything has used yet."""
    root = tmp_path / "project"
    monkeypatch.setattr("dinmo_pipeline.alerts.notifier._PAUSE_S", 0)
    for name, secret in _PLANTED.items():
        monkeypatch.setenv(name, secret)
    storage = "type: dinmo_pipeline.LocalFolder\nattributes: {name: out, path: out}\n"
    quoting = storage + _EVERY_FIELD
    for name, secret in _PLANTED.items():
        text = json.dumps(f"SELECT CAST('the value {secret.replace(chr(39), chr(39) * 2)} of it' AS INTEGER) AS id")
        quoting += f"---\ntype: dinmo_pipeline.Model\nattributes: {{name: m_{name.lower()}, primary_key: [id], sql: {text}}}\n"
        quoting += activation(f"a_{name.lower()}", model=f"m_{name.lower()}", mapping="[id]", run_type="full_only", sync_mode="snapshot")
    (root / "key").parent.mkdir(parents=True)
    (root / "key").write_text("planted in a file 11\n", encoding="utf-8")
    write(root, quoting)

    ran = [dinmo("sync", "--all", project=root), dinmo("status", project=root), dinmo("history", "a_slack", project=root)]

    assert [each.code for each in ran] == [1, 1, 0], ran
    shown = [logged.text, *(text for each in ran for text in (each.out, each.err)), *stored(root / ".dinmo")]
    said = {"the value *** of it", "its address is no web address"}
    assert found(said, shown) == said
    planted = {
        "planted in sftp",
        "planted: phrase",
        "planted&in",
        "planted%2Bsig4",
        "cGxhbnRlZ",
        "planted/in+s3",
        "plantedplanted8",
        "planted in a list",
    }
    assert not found(planted | {"S3CRET", "behind-a-blank", "planted's mail", "planted in a file"}, shown)


_CONNECTION_STRINGS = {
    "postgres": "FROM postgres_scan('host=127.0.0.1 port=9 password=plain-secret', 'public', 't')",
    "uri": "FROM mysql_scan('mysql://u:plain-secret@127.0.0.1:9/x', 'a', 'b')",
    "odbc": "FROM odbc_scan('Driver={PG};UID=u;PWD=plain-secret', 't')",
    "attach": "ATTACH 'postgres:host=127.0.0.1 password=plain-secret' AS p; FROM p.public.t",
    "http": "FROM read_csv('https://u:plain-secret@127.0.0.1:9/x.csv')",
    "sas": "FROM 'https://a.blob.core.windows.net/c/x.csv?sv=1&sig=plain-secret'",
    "azure": "FROM read_csv('az://c/x.csv', connection_string = 'AccountName=a;AccountKey=plain-secret')",
    "set": "SET s3_secret_access_key = 'plain-secret'; SELECT 1 AS id",
    "created": "CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET 'plain-secret'); SELECT 1 AS id",
}


def test_connection_string_in_a_query_is_refused_and_shows_nowhere(dinmo: Dinmo, logged: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    root = tmp_path / "project"
    storage = "type: dinmo_pipeline.LocalFolder\nattributes: {name: out, path: out}\n"
    models = [
        f"---\ntype: dinmo_pipeline.Model\nattributes: {{name: m_{name}, primary_key: [id], sql: {json.dumps(sql)}}}\n"
        for name, sql in _CONNECTION_STRINGS.items()
    ]
    write(root, storage + "".join(models) + activation("to_out", model="m_postgres"))

    ran = [dinmo(*call, project=root) for call in (("check",), ("sync", "--all"), ("status",), ("sync", "to_out", "--dry-run"))]

    assert [each.code for each in ran] == [2, 2, 2, 2]
    told = ran[0].out + ran[0].err
    assert {name for name in _CONNECTION_STRINGS if f"Model m_{name}: sql: " in told} == {*_CONNECTION_STRINGS}, told
    stores = stored(root / ".dinmo") if (root / ".dinmo").exists() else ()
    assert not found({"plain-secret"}, [logged.text, *(text for each in ran for text in (each.out, each.err)), *stores])


def write(root: Path, definitions: str) -> None:
    (root / "defs").mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text("[tool.dinmo]\n", encoding="utf-8")
    model = definitions.replace("SELECT * FROM 'people.parquet'", "SELECT 1 AS id, 'Ana' AS name, 31 AS age")
    (root / "defs" / "defs.yaml").write_text(model, encoding="utf-8")


def stored(folder: Path) -> Iterator[str]:
    """All that lies below the folder as text: files by their bytes, databases of SQLite by their rows, too, unpacked."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("utf-8", "replace")
            if path.suffix == ".db":
                yield from _rows(path)


def _rows(path: Path) -> Iterator[str]:
    with sqlite3.connect(path) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    yield _unpacked(value) if isinstance(value, bytes) else str(value)


def _unpacked(value: bytes) -> str:
    with suppress(zlib.error):
        value = zlib.decompress(value)
    return value.decode("utf-8", "replace")


def found(secrets: set[str], shown: Iterable[str]) -> set[str]:
    """Which of them stand in a text, as they are, encoded or only in part: a line of a key, a signature."""
    text = "\n".join(shown)
    return {secret for secret in secrets if any(form in text for form in _forms(secret))}


def _forms(secret: str) -> Iterator[str]:
    lines = [line for line in secret.replace("\\n", "\n").splitlines() if "-----" not in line and line]
    pieces = [part for line in lines for key in ("AccountKey=", "sig=") for part in line.split(key)[1:]]
    for piece in [*lines[:8], *(piece.partition("&")[0].partition(";")[0] for piece in pieces)]:
        yield from (piece, quote(piece, safe=""), base64.b64encode(piece.encode()).decode().rstrip("="), repr(piece)[1:-1])


def open_to_others(folder: Path) -> set[str]:
    """What of this folder's tree others than its owner may come to; Dagster's own files lie behind a folder that keeps them out."""
    if folder.stat().st_mode & 0o077:
        return {str(folder)}
    dagster = folder / "dagster"
    return {str(path) for path in folder.rglob("*") if path.stat().st_mode & 0o077 and dagster not in path.parents}
