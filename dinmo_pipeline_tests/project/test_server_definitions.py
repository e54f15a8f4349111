"""Servers defined in YAML: what is wrong with them shows with its line, and never a secret."""

from __future__ import annotations

import pytest

from dinmo_pipeline.errors import DefinitionErrors
from dinmo_pipeline.project.load import load_project

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
