"""Entries that only whoever has `DINMO_STATE_KEY` can have written.

Each carries an HMAC-SHA256 of itself, its log, its position and the entry before it, so that none can be changed, left out or put into
another log.
Entries from before there was a key are taken for true by `dinmo state sign`: a voucher, which lies beside the log, has their checksums.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dinmo_pipeline.errors import CallError, StateError
from dinmo_pipeline.masking import remember_secret
from dinmo_pipeline.sync.ledger.segments import chapter_of, position_of

STATE_KEY = "DINMO_STATE_KEY"
VOUCHERS = "vouchers"
_SHORTEST = 32
_SIGNATURE = re.compile(rb',\n "previous": "([0-9a-f]{64}|)",\n "mac": "([0-9a-f]{64})"\n}$')
_END = b"\n}"


class Text(Protocol):
    """An entry as it was read: its path below the log's folder, where that is, and its text."""

    @property
    def path(self) -> str: ...

    @property
    def where(self) -> str: ...

    @property
    def text(self) -> bytes: ...


@dataclass(frozen=True)
class _Voucher:
    """The first `entries` entries of a log are as they were when their chapters had these digests."""

    entries: int = 0
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Signer:
    """Whoever has the key."""

    key: bytes

    def sign(self, log: str, position: int, text: bytes, previous: bytes | None) -> bytes:
        """Return the text of a new entry with its signature; `previous` is the text of the one before it."""
        body = text.removesuffix(_END) + f',\n "previous": "{_sha256(previous)}"'.encode()
        return body + f',\n "mac": "{self._mac(log, position, body)}"'.encode() + _END

    def check(self, log: str, entries: Sequence[Text], vouchers: Iterable[Text]) -> None:
        """Raise StateError for an entry that whoever has the key did not write; `entries` are whole chapters of this log, in order."""
        voucher = max((self._read_voucher(log, page) for page in vouchers), key=lambda found: found.entries, default=_Voucher())
        vouched = [entry for entry in entries if position_of(entry.path) <= voucher.entries]
        for chapter, digest in _digests(vouched).items():
            if voucher.digests.get(chapter) != digest:
                raise _forged(log, f"entries of chapter {chapter} are not those that `dinmo state sign` took for true")
        before = vouched[-1].text if vouched else None
        for entry in entries[len(vouched) :]:
            position = position_of(entry.path)
            signature = _SIGNATURE.search(entry.text)
            if signature is None:
                raise _forged(log, f"{entry.where} is not signed")
            body = entry.text[: signature.start(2)].removesuffix(b',\n "mac": "')
            if not hmac.compare_digest(self._mac(log, position, body), signature[2].decode()):
                raise _forged(log, f"{entry.where} was signed with another key, for another log or position, or changed afterwards")
            if (before is not None or position == 1) and signature[1].decode() != _sha256(before):
                raise _forged(log, f"{entry.where} does not follow the entry that is before it")
            before = entry.text

    def vouch(self, log: str, entries: Sequence[Text]) -> bytes:
        """Return the text of a voucher for all entries of a log."""
        told = {"entries": len(entries), "digests": _digests(entries)}
        return json.dumps({**told, "mac": self._mac(log, 0, _canonical(told))}).encode()

    def _read_voucher(self, log: str, page: Text) -> _Voucher:
        """Return the voucher; an empty one where whoever has the key did not write it."""
        try:
            told = json.loads(page.text)
            mac = str(told.pop("mac"))
        except (ValueError, KeyError, AttributeError, TypeError):
            return _Voucher()
        return _Voucher(**told) if hmac.compare_digest(self._mac(log, 0, _canonical(told)), mac) else _Voucher()

    def _mac(self, log: str, position: int, body: bytes) -> str:
        return hmac.new(self.key, f"dinmo {log} {position}\n".encode() + body, "sha256").hexdigest()


def signer_of_environment() -> Signer | None:
    """Return the signer with the key of `DINMO_STATE_KEY`; None where it is not set. CallError where it is too short to be one."""
    key = os.environ.get(STATE_KEY, "").strip()
    if not key:
        return None
    remember_secret(key)
    if len(key) < _SHORTEST:
        raise CallError(f"{STATE_KEY} has {len(key)} characters, and {_SHORTEST} at least make a key; `openssl rand -hex 32` makes one")
    return Signer(key.encode())


def is_signed(text: bytes) -> bool:
    """Return whether an entry carries a signature, of whomever."""
    return _SIGNATURE.search(text) is not None


def _digests(entries: Iterable[Text]) -> dict[str, str]:
    """Return a digest of the entries of each chapter, by the position of its checkpoint."""
    chapters: dict[str, Any] = {}
    for entry in entries:
        chapter = str(chapter_of(position_of(entry.path)))
        chapters.setdefault(chapter, hashlib.sha256()).update(hashlib.sha256(entry.text).digest())
    return {chapter: digest.hexdigest() for chapter, digest in chapters.items()}


def _canonical(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True).encode()


def _sha256(text: bytes | None) -> str:
    return hashlib.sha256(text).hexdigest() if text is not None else ""


def _forged(log: str, found: str) -> StateError:
    return StateError(
        f"reading the log of activation {log}: {found}. {STATE_KEY} is set, so only entries that were written with it count. If it is not "
        "the key that the others have, set that one. If it is, see who may write to the state, and restore the log from a backup. If the "
        "log is from before there was this key, and you trust it as it stands, `dinmo state sign` takes it for true"
    )
