"""The fixtures of a server of each kind of storage, for tests that go through all of them: `from … import *`."""

from __future__ import annotations

from .cloud_fixtures import azurite_server, gcs_relay, gcs_server, gcs_tokens, s3_server
from .fixtures import openssh_server, samba_server, vsftpd_explicit, webdav_server

__all__ = [
    "azurite_server",
    "gcs_relay",
    "gcs_server",
    "gcs_tokens",
    "openssh_server",
    "s3_server",
    "samba_server",
    "vsftpd_explicit",
    "webdav_server",
]
