"""Each channel against a real server of its kind, read back with what others wrote."""

from __future__ import annotations

import base64
import json
import socket
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from dinmo_pipeline.errors import MessageError, PermanentStorageError, TransientMessageError
from dinmo_pipeline.notify.base import Channel, Notice
from dinmo_pipeline.notify.email import Email
from dinmo_pipeline.notify.slack import Slack
from dinmo_pipeline.notify.webhook import Webhook
from dinmo_pipeline_tests.servers.certificates import make_certificates
from dinmo_pipeline_tests.servers.lying_ftp import endless, lying_ftp
from dinmo_pipeline_tests.servers.lying_http import lying_http
from dinmo_pipeline_tests.servers.mail import PASSWORD, REFUSED, USER, running_mail
from dinmo_pipeline_tests.servers.running import HOST
from dinmo_pipeline_tests.servers.web import WebServer, running_web

NOTICE = Notice(
    project="shop",
    name="lapsed_to_partner",
    state="failed",
    since=datetime(2025, 4, 14, 7, tzinfo=UTC),
    what="delivering to /in/é <b>: permission denied & more",
    advice="`dinmo status` tells all of it.",
    link="https://dagster.example/runs/4711",
)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with running_web() as server:
        yield server


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    monkeypatch.setenv("HOOK_SECRET", SECRET)


def email(port: int, **fields: object) -> Email:
    usual = {"host": HOST, "port": port, "from": "dinmo@shop.example", "to": ["data@shop.example"], "tls": "none"}
    return Email.model_validate({**usual, **fields})


def slack(url: str, monkeypatch: pytest.MonkeyPatch) -> Slack:
    monkeypatch.setenv("SLACK_URL", url)
    return Slack.model_validate({"webhook_url": {"env": "SLACK_URL"}})


def webhook(url: str) -> Webhook:
    return Webhook.model_validate({"url": url, "secret": {"env": "HOOK_SECRET"}})


def test_slack_gets_the_text_with_its_signs_escaped(web: WebServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slack(f"{web.url}/services/T0/B0/x", monkeypatch).send(NOTICE, tmp_path)
    (posted,) = web.posted
    assert posted.path == "/services/T0/B0/x"
    assert posted.headers["content-type"] == "application/json"
    assert json.loads(posted.body)["text"].splitlines() == [
        "*lapsed_to_partner failed*",
        "since 2025-04-14 07:00 UTC, project shop",
        "delivering to /in/é &lt;b&gt;: permission denied &amp; more",
        "`dinmo status` tells all of it.",
        "https://dagster.example/runs/4711",
    ]


def test_webhook_is_signed_so_that_the_standard_verifier_takes_it(web: WebServer, tmp_path: Path) -> None:
    webhook(web.url).send(NOTICE, tmp_path)
    (posted,) = web.posted
    content = Verifier(SECRET).verify(posted.body, posted.headers)
    assert (content["type"], content["data"]["activation"], content["data"]["what"]) == (
        "activation.failed",
        NOTICE.name,
        NOTICE.what,
    )
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(posted.body.replace(b"denied", b"granted"), posted.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + base64.b64encode(b"other").decode()).verify(posted.body, posted.headers)
    webhook(web.url).send(NOTICE, tmp_path)
    assert web.posted[1].headers["webhook-id"] == posted.headers["webhook-id"], "the same change has the same id"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (403, MessageError, "it answered 403 Forbidden: no_service"),
        (302, MessageError, "it answered 302 Found"),
        (429, TransientMessageError, "it answered 429"),
        (503, TransientMessageError, "it answered 503"),
    ],
)
def test_answer_that_is_no_success_is_an_error_without_the_address(
    web: WebServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, kind: type[Exception], words: str
) -> None:
    web.answers = [status]
    with pytest.raises(MessageError) as caught:
        slack(f"{web.url}/s3cret", monkeypatch).send(NOTICE, tmp_path)
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert len(web.posted) == 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/s3cret",
        "https://exa mple/s3cret",
        "http://[s3cret",
        "https://hooks.example/services/T0/B0/s3cret token",
        "https://hooks.example:s3cret/",
        "https://hooks.example/s3\x01cret s3cret",
        "https://user:s3cret@hooks.example/",
        "https:///s3cret",
        "https://127.0.0.1:99999999/s3cret",
        "https://s3cret.example/\u00e9",
        f"https://{'s3cret' * 20}.example/",
        "s3cret",
    ],
)
@pytest.mark.parametrize("channel", ["Slack", "webhook"])
def test_address_that_is_none_is_an_error_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, channel: str) -> None:
    (tmp_path / "secret").write_text(base64.b64encode(b"key").decode())
    hook = Webhook.model_validate({"url": url, "secret": {"file": "secret"}})
    with pytest.raises(MessageError, match=f"sending a message to (the )?{channel}: its address ") as caught:
        (slack(url, monkeypatch) if channel == "Slack" else hook).send(NOTICE, tmp_path)
    # Another try would meet the same.
    assert not isinstance(caught.value, TransientMessageError)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_blanks_around_an_address_are_none_of_it(web: WebServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slack(f"  {web.url}/s3cret \t\n", monkeypatch).send(NOTICE, tmp_path)
    assert [posted.path for posted in web.posted] == ["/s3cret"]


def test_secret_of_a_webhook_that_is_no_base64_is_told(web: WebServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOOK_SECRET", "not base64!")
    with pytest.raises(MessageError, match="openssl rand -base64 32"):
        webhook(web.url).send(NOTICE, tmp_path)
    assert web.posted == []


def test_mail_without_login_arrives_as_written(tmp_path: Path) -> None:
    with running_mail() as server:
        email(server.port, to=["data@shop.example", "ops@shop.example"]).send(NOTICE, tmp_path)
    ((recipients, message),) = server.messages
    assert recipients == ("data@shop.example", "ops@shop.example")
    assert (message["Subject"], message["From"]) == ("lapsed_to_partner failed", "dinmo@shop.example")
    assert "delivering to /in/é <b>: permission denied & more" in message.get_content()
    assert "https://dagster.example/runs/4711" in message.get_content()


def test_half_of_a_surrogate_pair_is_written_out(web: WebServer, tmp_path: Path) -> None:
    notice = replace(NOTICE, name="caf\udce9", what="the file caf\udce9.csv is \ud800")
    with running_mail() as server:
        email(server.port).send(notice, tmp_path)
    ((_, message),) = server.messages
    assert message["Subject"] == r"caf\udce9 failed"
    assert r"the file caf\udce9.csv is \ud800" in message.get_content()
    webhook(web.url).send(notice, tmp_path)
    assert json.loads(web.posted[0].body)["data"]["what"] == notice.what


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_with_login_arrives_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: str) -> None:
    certificates = make_certificates(tmp_path)
    secured = {"tls": tls, "username": USER, "password": {"env": "MAIL_PASSWORD"}}
    with running_mail(certificate=certificates.server, implicit=tls == "implicit", login=True) as server:
        with pytest.raises(MessageError, match="its certificate is not trusted"):
            email(server.port, **secured).send(NOTICE, tmp_path)
        assert server.messages == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
        email(server.port, **secured).send(NOTICE, tmp_path)
        assert len(server.messages) == 1


def test_mail_with_a_wrong_password_is_refused_and_the_password_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "wr0ng")
    with running_mail(login=True) as server, pytest.raises(MessageError, match="the login was refused: 535") as caught:
        email(server.port, username=USER, password={"env": "MAIL_PASSWORD"}).send(NOTICE, tmp_path)
    assert not isinstance(caught.value, TransientMessageError)
    assert "wr0ng" not in str(caught.value)


def test_password_that_smtp_cannot_carry_is_told_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "wörd")
    with running_mail(login=True) as server, pytest.raises(MessageError, match="ASCII") as caught:
        email(server.port, username=USER, password={"env": "MAIL_PASSWORD"}).send(NOTICE, tmp_path)
    assert "wörd" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_recipient_that_the_server_refuses_is_told_though_others_got_it(tmp_path: Path) -> None:
    with running_mail() as server:
        partly = email(server.port, to=["data@shop.example", REFUSED]).send(NOTICE, tmp_path)
        assert partly is not None
        assert f"does not take {REFUSED} (550" in partly
        assert [recipients for recipients, _ in server.messages] == [("data@shop.example",)]
        with pytest.raises(MessageError, match=f"none of the recipients: {REFUSED}"):
            email(server.port, to=REFUSED).send(NOTICE, tmp_path)


def test_server_that_does_not_answer_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        channels: list[Channel] = [email(port), slack(f"http://{HOST}:{port}/s3cret", monkeypatch), webhook(f"http://{HOST}:{port}")]
        for channel in channels:
            with pytest.raises(TransientMessageError) as caught:
                channel.send(NOTICE, tmp_path)
            assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("pieces", "pause_s", "told"),
    [
        ([b"220-", *[b"x"] * 2_000], 0.05, "it did not come to the end of its answer in time"),
        (endless(b"220-welcome\r\n" * 100), 0, "it said more than 65,536 bytes"),
    ],
    ids=["drips", "without end"],
)
def test_mail_server_that_never_ends_its_answer_is_worth_another_try(
    pieces: Iterable[bytes], pause_s: float, told: str, tmp_path: Path
) -> None:
    began = time.monotonic()
    # Its greeting is that of a mail server as well.
    with lying_ftp(greeting=pieces, pause_s=pause_s) as server, pytest.raises(TransientMessageError, match=told):
        email(server.port).send(NOTICE, tmp_path, timeout_s=1)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("piece", "pause_s", "told"),
    [
        (b"x", 0.05, "it did not come to the end of its answer in time"),
        (b"x: y\r\n", 0, "(it said more than 65,536 bytes|got more than 100)"),
    ],
    ids=["drips", "without end"],
)
@pytest.mark.parametrize("kind", ["slack", "webhook"])
def test_address_that_never_ends_its_answer_is_worth_another_try(
    kind: str, piece: bytes, pause_s: float, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with lying_http(lambda *_: (0, {}, chain([b"HTTP/1.1 200 OK\r\nx: "], endless(piece))), pause_s) as server:
        channel = slack(f"{server.url}/s3cret", monkeypatch) if kind == "slack" else webhook(f"{server.url}/s3cret")
        with pytest.raises(TransientMessageError, match=told) as caught:
            channel.send(NOTICE, tmp_path, timeout_s=1)
    assert "s3cret" not in str(caught.value)
    assert time.monotonic() - began < 10


def test_line_breaks_in_a_title_make_no_header(tmp_path: Path) -> None:
    with running_mail() as server:
        notice = replace(NOTICE, name="lapsed\r\nBcc: thief@evil.example\r\n\r\nhello")
        email(server.port).send(notice, tmp_path)
    [(addresses, message)] = server.messages
    assert addresses == ("data@shop.example",)
    assert message["Bcc"] is None
    assert message["Subject"] == "lapsed Bcc: thief@evil.example hello failed"


def test_secret_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = slack("http://x", monkeypatch)
    monkeypatch.delenv("SLACK_URL")
    with pytest.raises(PermanentStorageError, match="could not find the webhook_url of Slack: the environment variable SLACK_URL"):
        channel.send(NOTICE, tmp_path)
