"""Any web address, signed as standardwebhooks.com says, so that its owner can tell who calls."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from pathlib import Path

from pydantic import Field

from dinmo_pipeline.errors import MessageError
from dinmo_pipeline.masking import remember_secret
from dinmo_pipeline.notify.base import TIMEOUT_S, Channel, Notice
from dinmo_pipeline.notify.http import post_json
from dinmo_pipeline.secrets import SecretField, Setting, resolve_setting


class Webhook(Channel):
    """A web address that takes JSON, signed with HMAC-SHA256 as [Standard Webhooks](https://www.standardwebhooks.com) says."""

    url: Setting = Field(description="The address: text, {env: NAME} or {file: PATH}.")
    secret: SecretField = Field(
        description="What both sides know, in base64, with or without `whsec_` before it: {env: NAME} or {file: PATH}."
    )

    def send(self, notice: Notice, project_root: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        url = resolve_setting(self.url, project_root, what="the url of the webhook").strip()
        if not isinstance(self.url, str):
            # Whoever keeps it out of the definitions means it to be none of anybody's business.
            remember_secret(url)
        key = _key(self.secret.resolve(project_root, what="the secret of the webhook"))
        content = {
            "type": f"{notice.kind}.{notice.state}",
            "timestamp": notice.since.isoformat(),
            "data": {
                "project": notice.project,
                notice.kind: notice.name,
                "kind": notice.kind,
                "name": notice.name,
                "state": notice.state,
                "since": notice.since.isoformat(),
                "title": notice.title,
                "what": notice.what,
                "advice": notice.advice,
                "link": notice.link,
            },
        }
        # Half of a surrogate pair is an escape of JSON.
        body = json.dumps(content, ensure_ascii=False).encode(errors="backslashreplace")
        moment = str(int(time.time()))
        signature = hmac.new(key, f"{notice.id}.{moment}.".encode() + body, hashlib.sha256).digest()
        headers = {
            "webhook-id": notice.id,
            "webhook-timestamp": moment,
            "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
        }
        post_json(url, body, headers, what="the webhook", timeout_s=timeout_s)


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.strip().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise MessageError(
            "sending a message to the webhook: its secret is not base64; make one with `openssl rand -base64 32`, for both sides"
        ) from None
