"""E-mail, by an SMTP server."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from dinmo_pipeline.counted_sockets import CountedSocket
from dinmo_pipeline.errors import MessageError, TransientMessageError
from dinmo_pipeline.notify.base import TIMEOUT_S, Channel, Notice
from dinmo_pipeline.notify.patience import patient
from dinmo_pipeline.secrets import Port, SecretField, Setting, resolve_port, resolve_setting

# A server that answers has said everything in a moment, however many answers these are.
_ANSWERS = 2
_PORTS = {"starttls": 587, "implicit": 465, "none": 25}


def _address(text: str) -> str:
    name, _, domain = text.rpartition("@")
    if not name or not domain or any(character.isspace() or character in "<>," for character in text):
        raise PydanticCustomError("dinmo", "{message}", {"message": f"{text!r} is no e-mail address"})
    return text


Address = Annotated[str, AfterValidator(_address)]


class _Smtp(smtplib.SMTP):
    """A client that waits no longer for all answers together, and takes no more of them, than a message is worth."""

    def getreply(self) -> tuple[int, bytes]:
        # The connection is another one once it is secured.
        if not isinstance(self.sock, CountedSocket):
            self.sock: Any = patient(self.sock, _ANSWERS * self.timeout)
        return super().getreply()


class _SecuredSmtp(_Smtp, smtplib.SMTP_SSL):
    pass


class Email(Channel):
    """E-mail by an SMTP server. `username` and `password` go together; without them the server is not logged in to."""

    host: Setting = Field(description="The SMTP server: text, {env: NAME} or {file: PATH}.")
    sender: Address = Field(alias="from", description="The address that the messages come from.")
    to: Annotated[
        Annotated[list[Address], Field(min_length=1)],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value, json_schema_input_type=str | list[str]),
    ] = Field(description="Who gets them: an address, or a list.")
    tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls", description="How the connection is encrypted: by STARTTLS, from its first byte, or not at all."
    )
    port: Port | None = Field(default=None, description="587 for starttls, 465 for implicit, 25 for none, unless written.")
    username: Setting | None = Field(default=None, description="Whom the server knows; none by default.")
    password: SecretField | None = Field(default=None, description="{env: NAME} or {file: PATH}; none by default.")

    def send(self, notice: Notice, project_root: Path, *, timeout_s: float = TIMEOUT_S) -> str | None:
        host = resolve_setting(self.host, project_root, what="the host of the mail server")
        port = _PORTS[self.tls] if self.port is None else resolve_port(self.port, project_root, what="the port of the mail server")
        login = None
        if self.username is not None and self.password is not None:
            username = resolve_setting(self.username, project_root, what="the username of the mail server")
            login = username, self.password.resolve(project_root, what="the password of the mail server")
        subject = f"sending a message by {host}:{port}"
        try:
            with self._connected(host, port, timeout_s) as server:
                if login is not None:
                    server.login(*login)
                refused = server.send_message(self._message(notice), self.sender, self.to)
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError) as error:
            raise MessageError(f"{subject}: the login was refused: {_answer(error)}; correct username, password or tls") from None
        except UnicodeEncodeError:
            # It holds the password: it must not be chained to what a user sees.
            raise MessageError(f"{subject}: username and password may hold ASCII characters alone; choose others") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise MessageError(f"{subject}: it takes none of the recipients: {_refusals(error.recipients)}") from None
        except ssl.SSLCertVerificationError as error:
            raise MessageError(f"{subject}: its certificate is not trusted: {error.verify_message}; correct host or tls") from None
        except (smtplib.SMTPException, OSError) as error:
            raise TransientMessageError(f"{subject}: {_answer(error)}") from None
        return f"{subject}: it does not take {_refusals(refused)}" if refused else None

    def _connected(self, host: str, port: int, timeout_s: float) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.tls == "implicit":
            return _SecuredSmtp(host, port, timeout=timeout_s, context=context)
        server = _Smtp(host, port, timeout=timeout_s)
        if self.tls == "starttls":
            try:
                server.starttls(context=context)
            except BaseException:  # an interrupt, too, must leave no connection open
                server.close()
                raise
        return server

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        # A line break would begin another header, and is refused by the library.
        message["Subject"] = " ".join(_whole(notice.title).split())
        message["From"] = self.sender
        message["To"] = ", ".join(self.to)
        message["Date"] = formatdate()
        # The same when it is sent again, so that mail servers which know it already drop the second one.
        message["Message-ID"] = f"<{notice.id}@{self.sender.rpartition('@')[2]}>"
        message.set_content(_whole("\n\n".join(notice.lines)) + "\n")
        return message


def _answer(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}"
    return str(error) or type(error).__name__


def _refusals(recipients: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{address} ({code} {text.decode('utf-8', 'replace')})" for address, (code, text) in recipients.items())


def _whole(text: str) -> str:
    """Return a text that every encoding of Unicode takes: half of a surrogate pair is written out."""
    return text.encode(errors="backslashreplace").decode()
