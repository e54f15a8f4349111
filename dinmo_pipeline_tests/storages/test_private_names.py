"""What the filesystems use of their libraries that these do not promise: an upgrade that moves it is noticed here first."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import sshfs.file
import sshfs.pools

PRIVATE = {
    "sshfs": (sshfs.SSHFileSystem, ("_client", "_pool", "_stack", "_connect", "_decode_attributes", "_finalize", "_info", "_rm_file")),
    "sshfs, its open file": (sshfs.file.SSHFile, ("_file", "_determine_block_size")),
    "sshfs, its channels": (sshfs.pools.SFTPSoftChannelPool, ("_channels", "_maybe_new_channel", "active_channels", "get")),
}


@pytest.mark.parametrize("library", PRIVATE)
def test_library_has_what_is_used_of_it(library: str) -> None:
    owner, names = PRIVATE[library]
    # What an instance has, its constructor sets.
    missing = [name for name in names if not hasattr(owner, name) and name not in owner.__init__.__code__.co_names]
    assert not missing, f"{library} {version(library.partition(',')[0])} has no {missing} any more: see who uses them in storages/"
