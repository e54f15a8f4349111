"""Who is told: what YAML may say of it, and every mistake with file and line."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from dinmo_pipeline.notify.email import Email
from dinmo_pipeline.notify.slack import Slack
from dinmo_pipeline.project.load import load_project
from dinmo_pipeline.secrets import SettingReference

from .conftest import WriteProject
from .test_bad_projects import activation, errors_of


def notify(fields: str, name: str = "team") -> str:
    """One whose `fields` begin on line 4."""
    return f"type: dinmo_pipeline.Notify\nattributes:\n  name: {name}\n" + indent(dedent(fields).strip("\n"), "  ") + "\n"


SLACK = "slack: {webhook_url: {env: SLACK}}"
BAD = {
    "no channel": (notify("level: failure"), ["2: Notify team: it needs 'slack', 'email' or 'webhook': how people are told"]),
    "two channels": (
        notify(f"{SLACK}\nwebhook: {{url: https://x.example, secret: {{env: HOOK}}}}"),
        ["5: Notify team: 'slack' and 'webhook' exclude each other; keep one, and write another Notify for the other"],
    ),
    "secret in the file": (
        notify("slack: {webhook_url: https://hooks.example/s3cret}"),
        ["4: Notify team: slack.webhook_url: expected {env: NAME} or {file: PATH}, because secrets are never written in YAML"],
    ),
    "unknown and missing fields of a channel": (
        notify("email:\n  host: mail.example\n  form: a@b.example\n  to: a@b.example"),
        ["4: Notify team: 'email.from' is missing", "6: Notify team: unknown field 'email.form'; did you mean 'from'?"],
    ),
    "no address": (
        notify("email:\n  host: mail.example\n  from: a@b.example\n  to: [a@b.example, the team]"),
        ["7: Notify team: email.to.1: 'the team' is no e-mail address"],
    ),
    "half a login": (
        notify("email:\n  host: mail.example\n  from: a@b.example\n  to: a@b.example\n  username: shop"),
        ["8: Notify team: email: username needs password, too"],
    ),
    "unknown level and activation": (
        notify(f"{SLACK}\nlevel: error\nonly: [exprt]"),
        [
            "5: Notify team: level: unknown value 'error'; valid are failure, warning",
            "6: Notify team: only: there is no activation, inbox or feed 'exprt'; did you mean 'export'?",
        ],
    ),
    "a name twice": (
        notify(SLACK) + "---\n" + notify(SLACK),
        ["8: Notify team: the name is taken by another notify, in defs/a/defs.yaml:3; give this one a name of its own"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_bad_notify_is_told_at_its_line(write_project: WriteProject, text: str, expected: list[str]) -> None:
    files = {"defs/a/defs.yaml": text, "defs/b/defs.yaml": activation()}
    assert errors_of(write_project, files) == [f"defs/a/defs.yaml:{message}" for message in expected]


def test_notify_has_its_channel_its_level_and_whom_it_concerns(write_project: WriteProject) -> None:
    mail = "email: {host: {env: MAIL_HOST}, from: a@b.example, to: c@d.example, tls: implicit}\nlevel: failure\nonly: export"
    files = {"defs/a/defs.yaml": notify(SLACK) + "---\n" + notify(mail, "nights"), "defs/b/defs.yaml": activation()}
    told = load_project(write_project(files)).notifications
    assert isinstance(told["team"].channel, Slack)
    assert (told["team"].level, told["team"].concerns("whatever")) == ("warning", True)
    channel = told["nights"].channel
    assert isinstance(channel, Email)
    assert (channel.sender, channel.to, channel.host, channel.port) == (
        "a@b.example",
        ["c@d.example"],
        SettingReference(env="MAIL_HOST"),
        None,
    )
    assert (told["nights"].level, told["nights"].concerns("export"), told["nights"].concerns("other")) == ("failure", True, False)
