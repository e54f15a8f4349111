"""Who may read what is made: what this product keeps is its user's alone, what it delivers has the rights of any new file of his."""

from __future__ import annotations

import os

from dinmo_pipeline.errors import PermanentStorageError

UMASK = "DINMO_UMASK"
_PRIVATE = 0o077


def keep_new_files_private() -> None:
    """Let whatever this process and its children make be their user's alone, but for what they deliver, which `delivery_umask` rules."""
    before = os.umask(_PRIVATE)
    os.environ.setdefault(UMASK, f"{before:04o}")


def delivery_umask() -> int:
    """Return the rights that delivered files and folders are not given: those of `DINMO_UMASK`, else of the umask of this process.

    PermanentStorageError when the variable is no octal number.
    """
    if told := os.environ.get(UMASK):
        try:
            return int(told, 8) & 0o777
        except ValueError:
            raise PermanentStorageError(f"{UMASK} is {told!r}, which is no umask; write an octal number such as 0022") from None
    # The only way to read it is to set it; both calls are immediate, and what others make meanwhile is private.
    current = os.umask(_PRIVATE)
    os.umask(current)
    return current
