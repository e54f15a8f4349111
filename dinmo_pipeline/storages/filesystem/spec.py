"""Any address that fsspec knows, as the user defines it: SMB, WebDAV, HDFS or whatever package is installed."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from dinmo_pipeline.intake_limits import read_limits
from dinmo_pipeline.masking import reads_like_secret
from dinmo_pipeline.storages.base import StorageSpec
from dinmo_pipeline.storages.filesystem.calls import call_in_time
from dinmo_pipeline.storages.filesystem.errors import cause_of, storage_error
from dinmo_pipeline.storages.filesystem.options import Options, resolved, resolved_where, where
from dinmo_pipeline.storages.filesystem.session import Filesystem
from dinmo_pipeline.storages.filesystem.ways import LAYERS, OUR_KINDS, Way, filesystem_class, known_way, new_filesystem

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class FilesystemSpec(StorageSpec):
    """Any fsspec address, such as `smb://` or `webdav://`; the package that knows it must be installed."""

    url: str = Field(description="The folder that deliveries and inboxes start at, such as `smb://nas/exports`.")
    options: Options = Field(default={}, description="Options of its fsspec filesystem; secrets as `{env: NAME}` or `{file: PATH}`.")
    publish: Literal["temp_name", "commit", "direct"] | None = Field(
        default=None,
        description="`temp_name` renames, `commit` hides a file until it is whole, `direct` writes under the final name, and a reader may "
        "see a part; by default what is known of the filesystem, or nothing is delivered.",
    )
    connect_timeout: float = Field(default=30, ge=1, description="Seconds until the server must have let us in.")

    @field_validator("url")
    @classmethod
    def _is_one_place(cls, value: str) -> str:
        protocol, separator, path = value.partition("://")
        if "::" in value or protocol in LAYERS:
            found = "a file in a cache, an archive or another wrapper may not be the one that the server has"
            raise PydanticCustomError("url", f"expected the address of the place itself, without caches and chains (`::`): {found}")
        if not separator or not protocol:
            raise PydanticCustomError("url", "expected an address of fsspec, such as `smb://nas/exports`")
        if protocol in ("http", "https"):
            found = "nothing can be written or moved there, and its answers send anywhere"
            raise PydanticCustomError(
                "url", f"{protocol}:// is no storage: {found}; a WebDAV server is webdav://, its address the option base_url"
            )
        if (kind := OUR_KINDS.get(protocol)) is not None:
            raise PydanticCustomError("url", f"for {protocol}:// use dinmo_pipeline.{kind}, which promises more")
        if reads_like_secret(value) or ":" in path.partition("/")[0].rpartition("@")[0]:
            raise PydanticCustomError("url", "it holds a secret: passwords and tokens go to `options`, as {env: NAME} or {file: PATH}")
        return value

    @property
    def protocol(self) -> str:
        """What stands before `://`."""
        return self.url.partition("://")[0]

    @property
    def way(self) -> Way | None:
        """How files are published; None where nothing is promised. PermanentStorageError where nobody can tell without a package."""
        return self.publish or known_way(self.protocol)

    @property
    def moves(self) -> bool:
        return self.way == "temp_name"

    @property
    def address(self) -> str:
        return f"{self.url.rstrip('/')} {where(self.options)}".rstrip()

    def resolved_address(self, project_root: Path) -> str:
        told = resolved_where(self.options, project_root, storage=self.name)
        return f"{self.url.rstrip('/')} {told}".rstrip()

    def folder_problem(self, folder: str) -> str | None:
        if "\0" in folder:
            return f"folder {folder!r} holds a character that no server takes"
        if folder.startswith("/"):
            return f"folder {folder!r} is absolute; in a Filesystem it starts at the storage's url"
        if posixpath.normpath(folder).split("/")[0] == "..":
            return f"folder {folder!r} leaves the storage's url"
        return None

    def filesystem(self, project_root: Path) -> AbstractFileSystem:
        """Make a new filesystem of this address, with its secrets read, shared with nobody and without caches; raises StorageErrors only.

        Its paths are fsspec's, and no more is promised of them than its package does.
        """
        kind = filesystem_class(self.protocol)
        options = {**kind._get_kwargs_from_urls(self.url), **resolved(self.options, project_root, storage=self.name)}
        try:
            return call_in_time(lambda _: new_filesystem(kind, options), idle_seconds=self.connect_timeout)
        except Exception as error:  # noqa: BLE001 - libraries raise what they like
            raise storage_error(f"could not connect to {self._where}", cause_of(error)) from None

    def connect(self, project_root: Path) -> Filesystem:
        way = self.way
        return Filesystem(
            self.filesystem(project_root),
            root=filesystem_class(self.protocol)._strip_protocol(self.url),
            where=self._where,
            way=way,
            limits=read_limits(project_root),
        )

    @property
    def _where(self) -> str:
        return f"{self.url} (storage {self.name})"
