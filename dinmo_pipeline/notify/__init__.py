"""The registry of channels: add one module and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from dinmo_pipeline.notify.base import Channel
from dinmo_pipeline.notify.email import Email
from dinmo_pipeline.notify.slack import Slack
from dinmo_pipeline.notify.webhook import Webhook

CHANNELS: Mapping[str, type[Channel]] = {"slack": Slack, "email": Email, "webhook": Webhook}
