"""Slack: an incoming webhook, whose address is its password."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from credit_risk_platform.adapters.alerting.channels.http import post, secret_parts
from credit_risk_platform.adapters.alerting.channels.text import headline, shown
from credit_risk_platform.domain.alerts import Message, Severity

# Slack refuses a message that exceeds one of these.
_HEADER, _FIELD, _FIELDS = 150, 2_000, 10
_SIGN = {Severity.INFO: "\N{LARGE BLUE CIRCLE}", Severity.WARNING: "\N{LARGE ORANGE CIRCLE}"}


@dataclass(frozen=True)
class SlackChannel:
    """One message per alert: severity and title, facts in two columns, a link."""

    url: str = field(repr=False)
    name: str = "slack"
    least: Severity = Severity.INFO

    def send(self, message: Message) -> None:
        post(self.url, _payload(message), secrets=secret_parts(self.url))


def _payload(message: Message) -> dict[str, Any]:
    finding = message.finding
    fired = message.kind == "fired"
    sign = _SIGN.get(finding.severity, "\N{LARGE RED CIRCLE}") if fired else "\N{LARGE GREEN CIRCLE}"
    title = f"{sign} {headline(message)}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title[:_HEADER], "emoji": False}}
    ]
    facts = [
        {"type": "mrkdwn", "text": f"*{_escaped(name)}*\n{_escaped(shown(value))}"[:_FIELD]}
        for name, value in finding.facts.items()
    ]
    blocks += [{"type": "section", "fields": facts[at : at + _FIELDS]} for at in range(0, len(facts), _FIELDS)]
    told = f"{finding.severity} | {_escaped(finding.key)} | {message.at:%Y-%m-%d %H:%M} UTC"
    if finding.link:
        told += f" | <{_escaped(finding.link)}|open>"
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": told}]})
    return {"text": _escaped(title), "blocks": blocks[:50]}


def _escaped(text: str) -> str:
    """Slack's three control characters: "<!channel>" in a text would call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
