"""Azurite, Azure's own emulator of Blob storage: one account with a key, and SAS tokens of any rights and time."""

from __future__ import annotations

import base64
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from dinmo_pipeline_tests.servers.running import HOST, Program, free_port, missing, running, server_folder

CONTAINER = "deliveries"


@dataclass(frozen=True)
class Azurite:
    """The running server with its container."""

    port: int
    account: str
    key: str = field(repr=False)
    program: Program
    kept: Path
    """The file of what it knows when it is started after it was killed; it is written every few seconds."""

    def url(self, host: str = HOST) -> str:
        """The account's address, there or at something in front of it."""
        return f"http://{host}:{self.port}/{self.account}"

    @property
    def connection_string(self) -> str:
        """As Azure's portal shows it."""
        protocol = "DefaultEndpointsProtocol=http"
        return f"{protocol};AccountName={self.account};AccountKey={self.key};BlobEndpoint={self.url()};"

    def sas_token(self, rights: str, *, valid: timedelta = timedelta(hours=1), container: str = CONTAINER) -> str:
        """A SAS token of the container; `rights` as in `sp`, a negative `valid` makes one that has expired."""
        return generate_container_sas(
            self.account,
            container,
            account_key=self.key,
            permission=ContainerSasPermissions.from_string(rights),
            start=datetime.now(UTC) - timedelta(days=2),
            expiry=datetime.now(UTC) + valid,
        )

    def client(self) -> BlobServiceClient:
        """The owner's own client."""
        return BlobServiceClient(self.url(), credential=self.key)


@contextmanager
def azurite() -> Iterator[Azurite]:
    """The server, with an empty container; all is gone afterwards."""
    port, account, key = free_port(), "shop", base64.b64encode(secrets.token_bytes(64)).decode()
    with server_folder() as folder:
        command = [
            *("env", f"AZURITE_ACCOUNTS={account}:{key}"),
            *(_program(), "--blobHost", HOST, "--blobPort", str(port), "--location", str(folder / "data")),
            *("--skipApiVersionCheck", "--disableTelemetry", "--silent"),
        ]
        with running(command, port=port, log=folder / "azurite.log") as program:
            server = Azurite(port, account, key, program, folder / "data" / "__azurite_db_blob__.json")
            with server.client() as owner:
                owner.create_container(CONTAINER)
            yield server


def _program() -> str:
    # Where scripts/ensure-azurite puts it.
    own = Path(sys.prefix) / "node" / "node_modules" / ".bin" / "azurite-blob"
    found = str(own) if own.exists() else shutil.which("azurite-blob")
    if found is None:
        missing("azurite is not installed: run scripts/ensure-azurite")
    return found
