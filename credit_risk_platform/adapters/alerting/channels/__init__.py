"""Where alerts go. Which severities a channel takes is its own (`least`); what has been sent, the book knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from credit_risk_platform.adapters.alerting.channels.base import Channel, ChannelError
from credit_risk_platform.adapters.alerting.channels.file import FILE, FileChannel
from credit_risk_platform.adapters.alerting.channels.pagerduty import ENQUEUE, PagerDutyChannel
from credit_risk_platform.adapters.alerting.channels.slack import SlackChannel
from credit_risk_platform.adapters.alerting.channels.webhook import WebhookChannel

__all__ = ["Channel", "ChannelError", "channels_from"]


def channels_from(
    folder: Path,
    *,
    slack_url: str | None = None,
    pagerduty_key: str | None = None,
    pagerduty_url: str = ENQUEUE,
    webhook_url: str | None = None,
    smtp_host: str | None = None,
    smtp_port: int = 587,
    smtp_starttls: bool = True,
    smtp_username: str | None = None,
    smtp_password: str | None = None,
    email_from: str | None = None,
    email_to: Sequence[str] = (),
) -> tuple[Channel, ...]:
    """The channels that are set up, the file of JSON lines in `folder` first: it always is.

    Whether a setting is any good shows when a message is sent, so that half a set stops nobody's definitions.
    """
    channels: list[Channel] = [FileChannel(folder / FILE)]
    if pagerduty_key:  # early: who has to wake up should not wait for the time-outs of others
        channels.append(PagerDutyChannel(pagerduty_key, pagerduty_url))
    if slack_url:
        channels.append(SlackChannel(slack_url))
    if webhook_url:
        channels.append(WebhookChannel(webhook_url))
    if smtp_host:
        from credit_risk_platform.adapters.alerting.channels.mail import EmailChannel  # smtplib: 15 ms at every start

        channels.append(
            EmailChannel(smtp_host, smtp_port, smtp_starttls, smtp_username, smtp_password, email_from, tuple(email_to))
        )
    return tuple(channels)
