"""Keeps secrets out of every text that a person, a log or a server's page may show.

Two nets, one over the other: each secret that this process has read, in the forms that programs write it in, and whatever reads like
one: a password in a connection string, a signature in an address, a private key. What DuckDB, a driver or a server says is not ours to
word, and all of them quote what they were given.
"""

from __future__ import annotations

import base64
import functools
import html
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

MASK = "***"
# Shorter ones stand in ordinary words; of these the patterns take care.
_SHORTEST = 4
_SHORTEST_INSIDE_A_WORD = 8
_secrets: dict[str, None] = {}

_NAMES = (
    r"password|passwd|pwd|passphrase|secret|token(?!\w)|credential|private_?key|access_?key(?!_?id)|account_?key|api_?key|"
    r"shared_?access_?(?:key|signature)(?!_?name)|signature|upload_?id|\bsas|\bsig"
)
# What stands in quotes ends at the same quotes, whether escaped or doubled; what does not, at a blank or a quote.
_QUOTED = r"""(?P<q>\\*(?:''|'|\\*"|"))(?:(?P=q)(?P=q)|(?!(?P=q))(?:\\.|.))*(?:(?P=q))?"""
_VALUE = rf"""(?:{_QUOTED}|\{{[^}}\n]*\}}?|[^\s'"\\]+)"""
# Every repetition before a fixed text has an end: a text may be a word of a megabyte.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"(?i)((?:proxy-)?authorization\\?[\"']?\s*[:=]\s*\\?[\"']?)[^\r\n\"'\\]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer\s+)(?!token|auth)[\w.~+/=-]{4,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)(hooks\.slack\.com/(?:services|workflows|triggers)/)[^\s'\"\\]+"), rf"\1{MASK}"),
    (re.compile(r"(/services/)T\w+/B\w+(?:/[^\s'\"\\]*)?"), rf"\1{MASK}"),
    (re.compile(r"\bxox[a-z]-[\w-]+"), MASK),
    # An address with its user: all up to the last @, for a password may hold one, too.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}://)(?!\[)([^\s:/'\"@]*):(?!\d+/)[^\s'\"]*@"), rf"\1\2:{MASK}@"),
    (re.compile(r"(?i)\b(https?://)[^\s:/?#'\"@]+@"), rf"\1{MASK}@"),
    (re.compile(r"(?i)(?<![\w:/@])(?!mailto:)([\w.+-]{1,64}:)[^\s:@/'\"\\]{1,500}(@[\w.-]+)"), rf"\1{MASK}\2"),
    (re.compile(rf"(?i)((?:{_NAMES})[\w-]{{0,40}}\\*[\"']?\s*(?:=>|:=|=|%3d)\s*)(?!{re.escape(MASK)}){_VALUE}"), rf"\1{MASK}"),
    (re.compile(rf"(?i)((?:{_NAMES})[\w-]{{0,40}}\\*[\"']\s*:\s*){_QUOTED}"), rf"\1{MASK}"),
    (re.compile(r"(?i)((?:password|passphrase|secret|account_key|access_key)\s*:?\s+)(?P<q>')(?:''|[^'\n])*'"), rf"\1{MASK}"),
    (re.compile(r"(?i)([?&](?:key|code|auth|sv?ig|pass|x-amz-[a-z-]+|x-goog-[a-z-]+)=)[^&\s'\"\\]+"), rf"\1{MASK}"),
)


# No pattern matches without one of these, and most texts have none.
_SIGNS = (
    *("pass", "pwd", "secret", "token", "credential", "key", "signature", "sig", "sas", "upload", "auth", "bearer", "code="),
    *("@", "/services/", "hooks.", "xox", "x-amz-", "x-goog-"),
)


def remember_secret(value: str) -> None:
    """Mask this text from now on wherever it would show, encoded, too; logs of other libraries are masked from here on."""
    mask_logs()
    for piece in _pieces(value):
        for form in _forms(piece):
            if len(form) >= _SHORTEST:
                _secrets.setdefault(form)
    _known.cache_clear()


def masked(text: str) -> str:
    """Return the text without secrets."""
    known = _known()
    return _without_what_reads_like_a_secret(text if known is None else known.sub(MASK, text))


def reads_like_secret(text: str) -> bool:
    """Return whether something in it reads like a secret, whatever the secrets are that this process knows: those may be ordinary words."""
    return _without_what_reads_like_a_secret(text) != text


def _without_what_reads_like_a_secret(text: str) -> str:
    lower = text.lower()
    if not any(sign in lower for sign in _SIGNS):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def mask_error(error: BaseException) -> BaseException:
    """Return the error without secrets in its text, its notes and what it came of.

    Itself where it can be changed, else one that reads alike.
    """
    return _mask_error(error, {})


@contextmanager
def masked_errors() -> Iterator[None]:
    """Mask the secrets of every error that leaves here."""
    try:
        yield
    except Exception as error:
        safe = mask_error(error)
        if safe is error:
            raise
        raise safe.with_traceback(error.__traceback__) from safe.__cause__


@functools.cache
def mask_logs() -> None:
    """Mask whatever any library logs in this process, once and for all: some of them log addresses and headers whole."""
    before = logging.getLogRecordFactory()

    def masking(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        _mask_record(record)
        return record

    logging.setLogRecordFactory(masking)


def _mask_record(record: logging.LogRecord) -> None:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):
        return  # A message that does not fit its arguments: logging itself tells of that.
    if (safe := masked(text)) != text:
        record.msg, record.args = safe, None
    if record.exc_info and record.exc_info[1] is not None:
        error = mask_error(record.exc_info[1])
        record.exc_info = (type(error), error, record.exc_info[2])


def _mask_error(error: BaseException, seen: dict[int, BaseException]) -> BaseException:
    if id(error) in seen:
        return seen[id(error)]
    seen[id(error)] = error
    safe = _without_secrets(error)
    seen[id(error)] = safe
    notes = [masked(note) for note in getattr(error, "__notes__", ())]
    if notes:
        safe.__notes__ = notes
    suppressed = error.__suppress_context__
    cause, context = error.__cause__, error.__context__
    safe.__cause__ = _mask_error(cause, seen) if cause is not None else None
    safe.__context__ = _mask_error(context, seen) if context is not None else None
    safe.__suppress_context__ = suppressed
    return safe


def _without_secrets(error: BaseException) -> BaseException:
    text = _text_of(error)
    safe = masked(text)
    if safe == text:
        return error
    error.args = tuple(masked(each) if isinstance(each, str) else each for each in error.args)
    if _text_of(error) == safe:
        return error
    # Its text comes from elsewhere than its arguments: an address, bytes, a list of findings.
    kind = type(error)
    members = {"__module__": kind.__module__, "__doc__": "Reads as the error did, without the secret."}
    alike: type[Exception] = type(kind.__name__, (Exception,), members)
    return alike(safe).with_traceback(error.__traceback__)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - another library's error that cannot even say what it is
        return ""


@functools.lru_cache(maxsize=1)
def _known() -> re.Pattern[str] | None:
    if not _secrets:
        return None
    # The longest first: a part of it would leave the rest.
    return re.compile("|".join(_pattern(form) for form in sorted(_secrets, key=len, reverse=True)))


def _pattern(form: str) -> str:
    text = re.escape(form)
    return text if len(form) >= _SHORTEST_INSIDE_A_WORD else rf"(?<![A-Za-z0-9_]){text}(?![A-Za-z0-9_])"


def _pieces(value: str) -> Iterator[str]:
    """Yield the secret, and those parts of it that stand alone in errors: a line of a key, a path of an address, a signature."""
    yield value
    yield value.strip()
    lines = [line.strip() for line in value.replace("\\n", "\n").splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= 2 * _SHORTEST_INSIDE_A_WORD and "-----" not in line)
    for key in ("AccountKey=", "SharedAccessSignature=", "sig="):
        yield from (part.partition("&")[0].partition(";")[0] for part in value.split(key)[1:])
    if "://" in value:
        yield from _pieces_of_address(value)
    if value.lstrip().startswith("{"):
        yield from _texts_of_json(value)


def _pieces_of_address(value: str) -> Iterator[str]:
    try:
        parts = urlsplit(value.strip())
        password = parts.password
    except ValueError:
        parts, password = urlsplit("//" + value.partition("://")[2].partition("/")[2]), None
    yield from (text for text in (parts.path, parts.query, password) if text is not None and len(text) > _SHORTEST_INSIDE_A_WORD)
    yield from (text for text in re.split(r"[/?&=\s]", f"{parts.path}?{parts.query}") if len(text) >= 2 * _SHORTEST_INSIDE_A_WORD)


def _texts_of_json(value: str) -> Iterator[str]:
    try:
        fields = json.loads(value)
    except ValueError:
        return
    if isinstance(fields, dict):
        for name, text in fields.items():
            if isinstance(text, str) and re.search(r"(?i)key|secret|token|password", name):
                yield text


def _forms(piece: str) -> Iterator[str]:
    encoded = piece.encode("utf-8", "surrogateescape")
    ways: tuple[Callable[[], str], ...] = (
        lambda: piece,
        lambda: quote(piece, safe=""),
        lambda: quote(piece),
        lambda: quote_plus(piece),
        lambda: base64.b64encode(encoded).decode().rstrip("="),
        lambda: base64.urlsafe_b64encode(encoded).decode().rstrip("="),
        lambda: json.dumps(piece)[1:-1],
        lambda: json.dumps(piece, ensure_ascii=False)[1:-1],
        lambda: repr(piece)[1:-1],
        lambda: html.escape(piece),
        lambda: piece.replace("'", "''"),
    )
    for way in ways:
        try:
            yield way()
        except UnicodeError:
            continue  # It has no such form: half a character.
