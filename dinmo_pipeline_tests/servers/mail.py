"""A mail server: aiosmtpd, which keeps what it is given."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from dinmo_pipeline_tests.servers.running import HOST, free_port

USER, PASSWORD, REFUSED = "shop", "pa55 word", "nobody@partner.example"


@dataclass
class MailServer:
    """Where it listens, and what came: each message with the addresses that it is for."""

    port: int
    messages: list[tuple[tuple[str, ...], EmailMessage]] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address == REFUSED:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.messages.append((tuple(envelope.rcpt_tos), message))
        return "250 OK"


@contextmanager
def running_mail(*, certificate: Path | None = None, implicit: bool = False, login: bool = False) -> Iterator[MailServer]:
    """A running one; with a certificate by STARTTLS, or from the first byte; with `login` it takes messages of `USER` alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate is not None else None
    if context is not None and certificate is not None:
        context.load_cert_chain(certificate)
    server = MailServer(free_port())

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    options: dict[str, Any] = {"authenticator": authenticate} if login else {}
    if login:
        options |= {"auth_required": True, "auth_require_tls": certificate is not None and not implicit}
    if context is not None and not implicit:
        options |= {"tls_context": context, "require_starttls": True}
    controller = Controller(server, hostname=HOST, port=server.port, ssl_context=context if implicit else None, **options)
    controller.start()
    try:
        yield server
    finally:
        controller.stop(no_assert=True)
