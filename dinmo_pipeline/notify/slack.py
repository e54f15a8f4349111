"""Slack, by an incoming webhook."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from dinmo_pipeline.notify.base import TIMEOUT_S, Channel, Notice
from dinmo_pipeline.notify.http import post_json
from dinmo_pipeline.secrets import SecretField


class Slack(Channel):
    """A Slack channel, by the address of an incoming webhook, which is a secret."""

    webhook_url: SecretField = Field(description="The address that Slack gave: {env: NAME} or {file: PATH}.")

    def send(self, notice: Notice, project_root: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        url = self.webhook_url.resolve(project_root, what="the webhook_url of Slack").strip()
        text = "\n".join((f"*{_escaped(notice.title)}*", *map(_escaped, notice.lines)))
        post_json(url, json.dumps({"text": text}).encode(), {}, what="Slack", timeout_s=timeout_s)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
