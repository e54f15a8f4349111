"""A certificate authority of the tests' own, and a certificate for this machine's addresses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

from dinmo_pipeline_tests.servers.relay import RELAY_HOST
from dinmo_pipeline_tests.servers.running import HOST


@dataclass(frozen=True)
class Certificates:
    """`authority` is what a client must trust; `server` holds the server's key and certificate in one file."""

    authority: Path
    server: Path


def make_certificates(folder: Path, *names: str) -> Certificates:
    """For the addresses that servers of the tests have, or for other `names`, so that they do not fit."""
    authority = trustme.CA()
    certificate = authority.issue_cert(*(names or (HOST, RELAY_HOST)))
    made = Certificates(authority=folder / "authority.pem", server=folder / "server.pem")
    authority.cert_pem.write_to_path(made.authority)
    certificate.private_key_and_cert_chain_pem.write_to_path(made.server)
    return made
