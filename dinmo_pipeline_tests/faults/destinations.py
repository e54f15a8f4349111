"""Where files go or come from, seen from behind the server's back: what lies there, what can be done to the server."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinmo_pipeline_tests.faults.kinds import AWAY, DISK_FULL, LOST, READ_ONLY, SERVER_KILLED, SLOW, Ballast
from dinmo_pipeline_tests.servers.relay import Relay
from dinmo_pipeline_tests.servers.running import Program
from dinmo_pipeline_tests.servers.s3 import BUCKET, S3Server

_PAUSE_S = 0.02


@dataclass(frozen=True)
class Lying:
    """A file as it lies there; two that were written one after the other have different `marks`."""

    content: bytes
    marks: object


class Destination(ABC):
    """A folder of one world's own on a storage, whose definition is `type` and `attributes`; `folder` is its name there."""

    type: str
    attributes: Mapping[str, Any]
    folder: str
    relay: Relay | None = None
    program: Program | None = None

    @abstractmethod
    def files(self) -> dict[str, Lying]:
        """All files, by their paths from the folder, temporary ones as well."""

    @abstractmethod
    def drop(self, path: str, content: bytes) -> None:
        """Put a file there, as somebody else does."""

    @abstractmethod
    def take_away(self, path: str) -> None:
        """Delete a file, as somebody else does."""

    @property
    def possible(self) -> tuple[str, ...]:
        """What can happen to it."""
        return tuple(kind for kind in (LOST, AWAY, SLOW) if self.relay) + ((SERVER_KILLED,) if self.program else ())

    def break_it(self, kind: str, *, lasts: bool) -> None:
        """Let it happen; what lasts, lasts until `mend`."""
        if self.program is not None and kind == SERVER_KILLED:
            self.program.kill()
            if not lasts:
                self.program.start()
        elif self.relay is not None and kind == LOST:
            self.relay.hang_up()
        elif self.relay is not None and kind == AWAY:
            self.relay.go_away()
        elif self.relay is not None and kind == SLOW:
            self.relay.slow_down(_PAUSE_S)

    def mend(self) -> None:
        """All is as it should be."""
        if self.relay is not None:
            self.relay.let_pass()
        if self.program is not None and not self.program.is_running:
            self.program.start()


class OnDisk(Destination):
    """A folder that lies on a small disk of this machine, `disk`, whoever serves it."""

    def __init__(
        self,
        type: str,
        attributes: Mapping[str, Any],
        folder: str,
        disk: Path,
        *,
        owner: str | None = None,
        relay: Relay | None = None,
        program: Program | None = None,
    ) -> None:
        self.type, self.attributes, self.folder = type, attributes, folder
        self.relay, self.program = relay, program
        self._disk, self._owner = disk, owner
        self._ballast = Ballast(disk)

    @property
    def possible(self) -> tuple[str, ...]:
        return (*super().possible, DISK_FULL, READ_ONLY)

    def break_it(self, kind: str, *, lasts: bool) -> None:
        if kind == DISK_FULL:
            self._ballast.take()
        elif kind == READ_ONLY:
            for folder in self._folders():
                folder.chmod(0o555)
        else:
            super().break_it(kind, lasts=lasts)

    def mend(self) -> None:
        super().mend()
        self._ballast.drop()
        for folder in self._folders():
            folder.chmod(0o755)

    def files(self) -> dict[str, Lying]:
        found = {}
        for path in self._disk.rglob("*"):
            # It may go away, or another one may take its place, at any moment.
            with suppress(FileNotFoundError, IsADirectoryError), path.open("rb") as stream:
                status = path.stat()
                found[str(path.relative_to(self._disk))] = Lying(stream.read(), (status.st_ino, status.st_mtime_ns))
        found.pop(".ballast", None)
        return found

    def drop(self, path: str, content: bytes) -> None:
        target = self._disk / path
        for folder in (target.parent.parent, target.parent):
            if not folder.exists():
                folder.mkdir()
                self._own(folder)
        draft = target.with_name(f".{target.name}.dropped")
        draft.write_bytes(content)
        self._own(draft)
        draft.rename(target)

    def take_away(self, path: str) -> None:
        (self._disk / path).unlink()

    def _folders(self) -> list[Path]:
        return [self._disk, *(path for path in self._disk.rglob("*") if path.is_dir())]

    def _own(self, path: Path) -> None:
        if self._owner is not None:
            shutil.chown(path, self._owner)


class InBucket(Destination):
    """A folder in a bucket."""

    def __init__(self, attributes: Mapping[str, Any], folder: str, server: S3Server, relay: Relay) -> None:
        self.type, self.attributes, self.folder, self.relay = "S3Bucket", attributes, folder, relay
        self._client = server.client()

    def files(self) -> dict[str, Lying]:
        found = {}
        prefix = f"{self.folder}/"
        for item in self._client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", []):
            with suppress(self._client.exceptions.NoSuchKey):
                answer = self._client.get_object(Bucket=BUCKET, Key=item["Key"])
                # Times are in whole seconds, and two syncs may be in one.
                marks = (answer["LastModified"], answer["ETag"])
                found[item["Key"].removeprefix(prefix)] = Lying(answer["Body"].read(), marks)
        return found

    def drop(self, path: str, content: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=f"{self.folder}/{path}", Body=content)

    def take_away(self, path: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=f"{self.folder}/{path}")
