"""What the filesystems use of their libraries that these do not promise: an upgrade that moves it is noticed here first."""

from __future__ import annotations

import asyncio
import weakref
from importlib.metadata import version
from typing import Any

import adlfs
import aiohttp.client_proto
import fsspec
import gcsfs.core
import pytest
import sshfs.file
import sshfs.pools
import webdav4.client
import webdav4.fsspec
import webdav4.urls
from fsspec.implementations.smb import SMBFileSystem

PRIVATE: dict[str, tuple[Any, tuple[str, ...]]] = {
    "fsspec": (fsspec.AbstractFileSystem, ("_fs_token_", "_get_kwargs_from_urls", "_strip_protocol", "dircache", "mirror_sync_methods")),
    "fsspec, its share": (SMBFileSystem, ("_connect", "_open", "_port", "share_access", "timeout", "encrypt")),
    "webdav4": (webdav4.client.Client, ("http", "base_url", "join_url", "propfind", "upload_fileobj", "move")),
    "webdav4, its module": (webdav4.fsspec, ("translate_info",)),
    "webdav4, its addresses": (webdav4.urls, ("join_url_path",)),
    "adlfs": (
        adlfs.AzureBlobFileSystem,
        ("_cp_file", "_details", "_dir_exists", "_get_file", "_info", "_ls", "_pipe_file", "_put_file", "_rm_file"),
    ),
    "adlfs, not in its documentation": (adlfs.AzureBlobFileSystem, ("do_connect", "split_path", "_strip_protocol")),
    "sshfs": (sshfs.SSHFileSystem, ("_client", "_pool", "_stack", "_connect", "_decode_attributes", "_finalize", "_info", "_rm_file")),
    "sshfs, its open file": (sshfs.file.SSHFile, ("_file", "_determine_block_size")),
    "sshfs, its channels": (sshfs.pools.SFTPSoftChannelPool, ("_channels", "_maybe_new_channel", "active_channels", "get")),
    "gcsfs": (
        gcsfs.core.GCSFileSystem,
        (
            *("_call", "_request", "_set_session", "_get_headers", "_get_params", "_format_path", "_location", "_get_object"),
            *("_call_list_objects", "_do_list_objects", "_cat_file_sequential", "_pipe_file", "_put_file", "_get_file", "_open"),
            *("split_path", "url", "session", "requests_timeout"),
        ),
    ),
    "gcsfs, its open file": (gcsfs.core.GCSFile, ("_simple_upload", "discard")),
    "gcsfs, its module": (gcsfs.core, ("_location",)),
    "aiohttp": (
        aiohttp.client_proto.ResponseHandler,
        (
            *("set_response_params", "start_timeout", "data_received", "pause_writing", "resume_writing", "connection_lost"),
            *("_reschedule_timeout", "_on_read_timeout", "set_exception"),
        ),
    ),
}


@pytest.mark.parametrize("library", PRIVATE)
def test_library_has_what_is_used_of_it(library: str) -> None:
    owner, names = PRIVATE[library]
    # What an instance has, its constructor sets; a module has none.
    set_by_its_constructor = vars(owner)["__init__"].__code__.co_names if isinstance(owner, type) else ()
    missing = [name for name in names if not hasattr(owner, name) and name not in set_by_its_constructor]
    assert not missing, f"{library} {version(library.partition(',')[0])} has no {missing} any more: see who uses them in storages/"


async def _connections() -> tuple[object, object]:
    connector = aiohttp.TCPConnector()
    try:
        handler = connector._factory()
        return handler, connector
    finally:
        await connector.close()


def test_aiohttp_makes_connections_and_keeps_their_state_where_it_is_replaced() -> None:
    handler, _ = asyncio.run(_connections())
    missing = [name for name in ("_loop", "_payload", "_read_timeout", "transport") if not hasattr(handler, name)]
    assert not missing, f"aiohttp {version('aiohttp')} has no {missing} any more: see storages/aiohttp_transport.py"


def test_adlfs_makes_its_client_where_it_is_replaced() -> None:
    plain = adlfs.AzureBlobFileSystem(account_name="a", anon=True, skip_instance_cache=True)
    assert hasattr(plain, "service_client")


def test_python_keeps_its_finalizers_where_they_are_taken_back() -> None:
    assert hasattr(weakref.finalize, "_registry")
