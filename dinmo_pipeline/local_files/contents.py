"""What a file holds, how one takes the place of another, and that the disk has it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

_BLOCK = 1 << 20


def open_file(local_path: Path) -> BufferedReader:
    """Open what must be a file for reading; OSError where it is none: a pipe would never end, or never begin."""
    descriptor = os.open(local_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    number = errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL
    raise OSError(number, os.strerror(number) if number == errno.EISDIR else "it is no file", str(local_path))


def read_file(local_path: Path, most_bytes: int) -> bytes:
    """Return what a file holds; OSError where it is none, or has more bytes."""
    with open_file(local_path) as stream:
        if os.fstat(stream.fileno()).st_size > most_bytes:
            raise OSError(errno.EFBIG, f"it has more than {most_bytes:,} bytes", str(local_path))
        return stream.read(most_bytes)


def sha256_of(local_path: Path) -> str:
    """Compute the SHA-256 of the file's bytes, in hexadecimal."""
    with open_file(local_path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def holds(local_path: Path, searched: bytes) -> bool:
    """Say whether the file has these bytes in it; reads it in blocks that overlap, so that none is missed at a border."""
    overlap = b""
    with local_path.open("rb") as file:
        while block := file.read(_BLOCK):
            # The first byte alone is found at the speed of memory, and is rare.
            if (overlap or searched[:1] in block) and searched in overlap + block:
                return True
            end = block[1 - len(searched) :]
            overlap = end if searched[:1] in end else b""
    return False


def draft_of(path: Path) -> Path:
    """Name the file that `replace_file` writes first; one that is there was left by a process that was killed."""
    return path.with_name(f"{path.name}.draft")


def replace_file(path: Path, content: bytes, *, is_durable: bool = False) -> None:
    """Put a file with this content, for its owner alone (mode 0600), in the place of `path`, in one step; on disk then if `is_durable`.

    One process at a time may do so. Raises OSError; the earlier file is whole then.
    """
    draft = draft_of(path)
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            if is_durable:
                stream.flush()
                os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def sync_to_disk(path: Path) -> None:
    """Have a file's bytes, or the names in a folder, on disk when this returns. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
