"""SSH keys as people paste them: private keys that lost their line breaks, host keys as ssh-keyscan prints them."""

from __future__ import annotations

import re
import textwrap

import asyncssh

from dinmo_pipeline.errors import PermanentStorageError

_ARMOUR = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*)-----END \1-----", re.DOTALL)
_LOST_BREAKS = re.compile(r"\\r|\\n|\s")
# An encrypted PEM key says so in two lines of its own; the length of the last one's hex digits is that of the cipher's block.
_ENCRYPTED = re.compile(
    r"^Proc-Type:4,ENCRYPTEDDEK-Info:(?:(DES-[A-Z0-9-]+),([0-9A-F]{16})|(AES-[A-Z0-9-]+),([0-9A-F]{32}))", re.IGNORECASE
)
_KEY_KINDS = ("ssh-", "ecdsa-", "sk-")


def import_private_key(text: str, passphrase: str | None, *, what: str) -> asyncssh.SSHKey:
    """Return the private key, in OpenSSH's form or PEM; raises PermanentStorageError, which names `what` and shows nothing of the key."""
    try:
        return asyncssh.import_private_key(repaired_private_key(text), passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        needs_passphrase = "passphrase must be specified" in str(error).lower()
    if needs_passphrase:
        problem = "it is encrypted and no passphrase is given: set `passphrase`"
    elif passphrase and _ARMOUR.search(text):
        problem = "its passphrase is wrong, or the key is damaged"
    else:
        problem = _private_key_problem(text)
    # Outside of the handler: what the parser found is not chained, for it may quote the key.
    raise PermanentStorageError(f"could not use {what}: {problem}")


def repaired_private_key(text: str) -> str:
    """Return the key with the line breaks that forms and environment variables take away, or the text as it is when it is no such key."""
    found = _ARMOUR.search(text)
    if found is None:
        return text
    kind, body = found.group(1), _LOST_BREAKS.sub("", found.group(2))
    header = ""
    if encrypted := _ENCRYPTED.match(body):
        cipher, salt = (group for group in encrypted.groups() if group)
        header, body = f"Proc-Type: 4,ENCRYPTED\nDEK-Info: {cipher},{salt}\n\n", body[encrypted.end() :]
    lines = "\n".join(textwrap.wrap(body, 64))
    return f"-----BEGIN {kind}-----\n{header}{lines}\n-----END {kind}-----\n"


def import_host_keys(text: str) -> list[asyncssh.SSHKey]:
    """Return the public keys of the text, one a line, each with or without the host name that ssh-keyscan puts before it.

    Raises ValueError when there is none, or one that is no key.
    """
    keys = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        start = next((index for index, word in enumerate(words) if word.startswith(_KEY_KINDS)), 0)
        try:
            keys.append(asyncssh.import_public_key(" ".join(words[start : start + 2])))
        except asyncssh.KeyImportError as error:
            raise ValueError("expected a public key like `ssh-ed25519 AAAA…`, as ssh-keyscan prints it") from error
    if not keys:
        raise ValueError("expected a public key like `ssh-ed25519 AAAA…`, as ssh-keyscan prints it")
    return keys


def _private_key_problem(text: str) -> str:
    if text.lstrip().startswith("PuTTY-User-Key-File"):
        return "it is a PuTTY key; convert it with `puttygen KEY.ppk -O private-openssh -o KEY`"
    if text.lstrip().startswith(_KEY_KINDS):
        return "it is a public key; give the private one, which begins with -----BEGIN"
    if _ARMOUR.search(text) is None:
        return "it is no private key; a whole one begins with -----BEGIN … PRIVATE KEY----- and ends with -----END … PRIVATE KEY-----"
    return "it is damaged, or of a kind that is not known; make sure that it was copied whole"
