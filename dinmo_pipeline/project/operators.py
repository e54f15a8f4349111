"""Who gives a command: what the history keeps of approvals, dismissals and baselines."""

from __future__ import annotations

import getpass
import os
import socket

USER = "DINMO_USER"


def current_operator() -> str:
    """Return the person that `DINMO_USER` names, else the user of this process and its host: `ana@etl1`."""
    if name := os.environ.get(USER, "").strip():
        return name
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user that has no name.
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
