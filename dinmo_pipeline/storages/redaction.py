"""Keeps what opens a store out of the HTTP library's log: at the debug level it shows every address whole."""

from __future__ import annotations

import logging
import re

_OPENS = re.compile(r"(?i)\b(sig|upload_id|x-amz-signature|x-goog-signature)=[^&\s'\"]+")
_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


class _Redact(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _OPENS.sub(r"\1=REDACTED", record.getMessage()), None
        return True


_REDACT = _Redact()


def redact_addresses() -> None:
    """From now on signatures and upload sessions are left out of the addresses that urllib3 logs; changes its loggers, once."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_REDACT)
