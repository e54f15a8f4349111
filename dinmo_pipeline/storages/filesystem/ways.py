"""How files can be published on an fsspec filesystem, told from what is known of its protocol and from what its class declares."""

from __future__ import annotations

import importlib
import inspect
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from dinmo_pipeline.errors import PermanentStorageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Way = Literal["temp_name", "commit", "direct"]
"""A temporary name and a rename; a file that is hidden until it is committed; the final name at once."""

KNOWN_WAYS: Mapping[str, Way] = {"dav": "temp_name", "memory": "commit", "smb": "temp_name", "webdav": "temp_name"}
"""Protocols that were tried."""

PUBLISHES: Mapping[Way | None, str] = {
    "temp_name": "publishes by a temporary name and a rename",
    "commit": "publishes by a commit, before which nobody sees the file",
    "direct": "publishes under the final name at once: a reader may see a part",
}

NO_PROMISE = (
    "nothing is known of this filesystem by which a file could be kept from readers until it is whole, so nothing was written; set "
    "`publish: direct`, where readers may see a part, or `publish: commit` or `publish: temp_name` where `dinmo test` then finds no fault"
)
"""Why a file is not written where nothing is promised."""

OUR_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("abfs", "abfss", "adl", "az", "wasb", "wasbs"), "AzureContainer"),
    **dict.fromkeys(("ftp", "ftps"), "FtpServer"),
    **dict.fromkeys(("gcs", "gs"), "GcsBucket"),
    **dict.fromkeys(("asynclocal", "file", "local"), "LocalFolder"),
    **dict.fromkeys(("s3", "s3a", "s3n"), "S3Bucket"),
    **dict.fromkeys(("sftp", "ssh", "sshfs"), "SftpServer"),
}
"""Protocols that a storage of its own knows more of."""

LAYERS = frozenset(
    {"async_wrapper", "asyncwrapper", "blockcache", "cached", "dask", "dir", "filecache", "generic", "libarchive", "reference"}
    | {"simplecache", "tar", "zip"}
)
"""Protocols that are no place by themselves: caches, archives and wrappers of others."""

# fsspec's class where the library's own one loses, shows or mixes up files: ours says how.
_MENDED = {
    "dav": "dinmo_pipeline.storages.filesystem.webdav:WebdavFiles",
    "smb": "dinmo_pipeline.storages.filesystem.smb:SmbFiles",
    "webdav": "dinmo_pipeline.storages.filesystem.webdav:WebdavFiles",
}
_FSSPEC_ITSELF = ("fsspec.spec", "fsspec.asyn", "builtins")
_COPIES = {"copy", "_copy", "cp", "cp_file", "_cp_file", "copyfile", "copy_file", "super"}


def filesystem_class(protocol: str) -> type[AbstractFileSystem]:
    """Return the class that knows the protocol; PermanentStorageError with what to install where there is none."""
    import fsspec
    from fsspec.registry import known_implementations

    try:
        loaded: type[AbstractFileSystem] = fsspec.get_filesystem_class(protocol)
        if protocol in _MENDED:
            module, _, name = _MENDED[protocol].partition(":")
            loaded = getattr(importlib.import_module(module), name)
    except ImportError as error:
        advice = known_implementations.get(protocol, {}).get("err") or f"install the package that {error.name or protocol!r} belongs to"
        raise PermanentStorageError(
            f"{protocol}:// needs a package that is not installed: {advice} (in this project's environment)"
        ) from None
    except ValueError:
        raise PermanentStorageError(
            f"no fsspec filesystem for {protocol}:// is installed: correct the url, or install the package that brings it"
        ) from None
    return loaded


def new_filesystem(kind: type[AbstractFileSystem], options: Mapping[str, Any]) -> AbstractFileSystem:
    """Make a filesystem that nobody shares, keeps or shows, of these options alone."""
    from fsspec.asyn import mirror_sync_methods

    # Called in the usual way a class adds what fsspec's own settings say of its protocol: a variable could lead a delivery elsewhere.
    made: AbstractFileSystem = type.__call__(kind, **options)
    made._fs_token_ = secrets.token_hex(16)
    # fsspec shows these in `to_json` and pickles them.
    made.storage_args, made.storage_options = (), {}
    # Not every class takes the option of this name.
    made.dircache.use_listings_cache = False
    if made.async_impl and made.mirror_sync_methods:
        mirror_sync_methods(made)
    return made


def rename_of(kind: type[AbstractFileSystem]) -> str | None:
    """Return the method by which the class renames one file; None where it only copies and deletes, as fsspec does unasked."""
    for name in ("mv_file", "rename", "mv"):
        owner = next((each for each in kind.__mro__ if name in vars(each)), None)
        if owner is not None and owner.__module__ not in _FSSPEC_ITSELF and not _copies(vars(owner)[name]):
            return name
    return None


def _copies(method: object) -> bool:
    code = getattr(inspect.unwrap(method), "__code__", None) if callable(method) else None
    return code is None or bool(_COPIES.intersection(code.co_names))


def known_way(protocol: str) -> Way | None:
    """How files are published there: known of the protocol, else declared by its class; None where neither promises anything.

    PermanentStorageError where the class must be looked at and its package is missing.
    """
    known = KNOWN_WAYS.get(protocol)
    if known is None and rename_of(filesystem_class(protocol)) is not None:
        return "temp_name"
    return known
