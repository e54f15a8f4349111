"""What a file holds, and that the disk has it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def sha256_of(local_path: Path) -> str:
    """Compute the SHA-256 of the file's bytes, in hexadecimal."""
    with local_path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_to_disk(path: Path) -> None:
    """Have a file's bytes, or the names in a folder, on disk when this returns. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
