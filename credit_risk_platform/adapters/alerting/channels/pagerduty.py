"""PagerDuty, Events API v2: one incident there per incident here, however often a message is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from credit_risk_platform.adapters.alerting.channels.http import post
from credit_risk_platform.adapters.alerting.channels.text import SOURCE
from credit_risk_platform.domain.alerts import Message, Severity

ENQUEUE = "https://events.pagerduty.com/v2/enqueue"


@dataclass(frozen=True)
class PagerDutyChannel:
    """Wakes somebody up; what has cleared resolves itself."""

    key: str = field(repr=False)
    url: str = ENQUEUE
    name: str = "pagerduty"
    least: Severity = Severity.CRITICAL

    def send(self, message: Message) -> None:
        post(self.url, self._event(message), secrets=(self.key,))

    def _event(self, message: Message) -> dict[str, Any]:
        finding = message.finding
        event = {"routing_key": self.key, "dedup_key": message.incident}
        if message.kind == "cleared":
            return {**event, "event_action": "resolve"}
        return {
            **event,
            "event_action": "trigger",
            "client": SOURCE,
            "payload": {
                "summary": finding.title,
                "source": SOURCE,
                "severity": finding.severity.value,  # PagerDuty has the same three names, and "error"
                "timestamp": message.at.isoformat(),
                "component": finding.key,
                "custom_details": dict(finding.facts),
            },
            "links": [{"href": finding.link, "text": "Open"}] if finding.link else [],
        }
