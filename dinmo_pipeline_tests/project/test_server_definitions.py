"""Servers defined in YAML: what is wrong with them shows with its line, and never a secret."""

from __future__ import annotations

import pytest

from dinmo_pipeline.errors import DefinitionErrors
from dinmo_pipeline.project.load import load_project, load_with_warnings

from .conftest import WriteProject


def test_bad_server_shows_every_error_with_its_line_and_no_secret(write_project: WriteProject) -> None:
    root = write_project(
        {
            "defs/a/defs.yaml": """\
                type: dinmo_pipeline.SftpServer
                attributes:
                  name: partner
                  host: {env: PARTNER_HOST}
                  username: shop
                  password: hunter2
                  host_key: "ssh-ed25519 nonsense"
                  port: "22"
                  publish: fast
                  prot: 1
                ---
                type: dinmo_pipeline.FtpServer
                attributes: {name: agency, host: h, tls: none, ca_file: ca.pem}
                """
        }
    )
    with pytest.raises(DefinitionErrors) as caught:
        load_project(root)
    assert [str(problem).removeprefix("defs/a/defs.yaml:") for problem in caught.value.problems] == [
        "6: SftpServer partner: password: expected {env: NAME} or {file: PATH}, because secrets are never written in YAML",
        "7: SftpServer partner: host_key: expected a public key like `ssh-ed25519 AAAA…`, as ssh-keyscan prints it",
        "8: SftpServer partner: port: expected a port from 1 to 65535, or {env: NAME} or {file: PATH}",
        "9: SftpServer partner: publish: unknown value 'fast'; valid are direct, temp_name",
        "10: SftpServer partner: unknown field 'prot'; did you mean 'port'?",
        "13: FtpServer agency: with 'tls: none' there is no certificate; remove 'ca_file' and 'verify_certificate'",
    ]


@pytest.mark.parametrize("component", ["SftpServer", "FtpServer"])
@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("sftp://partner.example", "write the host's name alone, without sftp://"),
        ("shop@partner.example", "write the host's name alone; who logs in stands in 'username'"),
        ("partner.example/in", "write the host's name alone, without a path; an activation's files go to its 'folder'"),
        ("partner.example:2222", "write the host's name alone; its port stands in 'port'"),
    ],
)
def test_host_that_is_more_than_a_name_is_told_where_the_rest_belongs(
    write_project: WriteProject, component: str, host: str, told: str
) -> None:
    text = f'type: dinmo_pipeline.{component}\nattributes: {{name: partner, username: shop, host: "{host}"}}\n'
    with pytest.raises(DefinitionErrors) as caught:
        load_project(write_project({"defs/a/defs.yaml": text}))
    assert [str(problem) for problem in caught.value.problems] == [f"defs/a/defs.yaml:2: {component} partner: host: {told}"]


@pytest.mark.parametrize("host", ["partner.example", "192.0.2.1", "2001:db8::1"])
def test_host_that_is_a_name_or_an_address_is_fine(write_project: WriteProject, host: str) -> None:
    text = f'type: dinmo_pipeline.SftpServer\nattributes: {{name: partner, username: shop, host: "{host}"}}\n'
    assert load_project(write_project({"defs/a/defs.yaml": text})).storages["partner"].address.endswith(f"@{host}:22")


PLAIN = """\
type: dinmo_pipeline.S3Bucket
attributes: {name: a, bucket: b, endpoint_url: "http://s3.partner.example"}
---
type: dinmo_pipeline.GcsBucket
attributes: {name: b, bucket: b, service_account_key: {env: PLAIN_KEY}}
---
type: dinmo_pipeline.AzureContainer
attributes: {name: c, container: c, account_url: {env: PLAIN_ACCOUNT}}
---
type: dinmo_pipeline.Notify
attributes:
  name: team
  slack: {webhook_url: {env: PLAIN_SLACK}}
---
type: dinmo_pipeline.S3Bucket
attributes: {name: d, bucket: b, endpoint_url: "http://127.0.0.1:9000"}
---
type: dinmo_pipeline.S3Bucket
attributes: {name: e, bucket: b, endpoint_url: "https://s3.partner.example"}
---
type: dinmo_pipeline.S3Bucket
attributes: {name: f, bucket: b, endpoint_url: {env: PLAIN_MISSING}}
---
type: dinmo_pipeline.Filesystem
attributes: {name: g, url: "webdav://in", options: {base_url: "http://cloud.partner.example"}}
"""


def test_addresses_that_are_not_encrypted_are_warned_of_without_being_shown(
    write_project: WriteProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAIN_KEY", '{"type": "service_account", "token_uri": "http://tokens.partner.example/x"}')
    monkeypatch.setenv("PLAIN_ACCOUNT", "http://account.partner.example")
    monkeypatch.setenv("PLAIN_SLACK", "http://hooks.partner.example/services/secret-of-slack")
    warnings = [str(warning) for warning in load_with_warnings(write_project({"defs/a/defs.yaml": PLAIN})).warnings]
    advice = "what goes there can be read on the way, credentials and rows; write https://"
    assert warnings == [
        f"defs/a/defs.yaml:2: S3Bucket a: endpoint_url: an address of http:// is not encrypted: {advice}",
        f"defs/a/defs.yaml:5: GcsBucket b: service_account_key: its token_uri is an address of http://, which is not encrypted: {advice}",
        f"defs/a/defs.yaml:8: AzureContainer c: account_url: an address of http:// is not encrypted: {advice}",
        f"defs/a/defs.yaml:13: Notify team: webhook_url: an address of http:// is not encrypted: {advice}",
        f"defs/a/defs.yaml:25: Filesystem g: base_url: an address of http:// is not encrypted: {advice}",
    ]


def test_filesystem_that_is_defined_wrongly_shows_every_error_with_its_line(write_project: WriteProject) -> None:
    root = write_project(
        {
            "defs/a/defs.yaml": """\
                type: dinmo_pipeline.Filesystem
                attributes:
                  name: nas
                  url: "sftp://nas/in"
                  options:
                    password: hunter2
                  publish: fast
                """
        }
    )
    with pytest.raises(DefinitionErrors) as caught:
        load_project(root)
    assert [str(problem).removeprefix("defs/a/defs.yaml:") for problem in caught.value.problems] == [
        "4: Filesystem nas: url: for sftp:// use dinmo_pipeline.SftpServer, which promises more",
        "6: Filesystem nas: options: password: expected {env: NAME} or {file: PATH}, because secrets are never written in YAML",
        "7: Filesystem nas: publish: unknown value 'fast'; valid are commit, direct, temp_name",
    ]
