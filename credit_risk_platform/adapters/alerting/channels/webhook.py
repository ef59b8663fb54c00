"""Any receiver of JSON: a gateway for text messages, an incident tool. The form is `text.as_json`."""

from __future__ import annotations

from dataclasses import dataclass, field

from credit_risk_platform.adapters.alerting.channels.http import post, secret_parts
from credit_risk_platform.adapters.alerting.channels.text import as_json, same
from credit_risk_platform.domain.alerts import Message, Severity


@dataclass(frozen=True)
class WebhookChannel:
    """The address may hold a token; a repeated message bears the same `Idempotency-Key`."""

    url: str = field(repr=False)
    name: str = "webhook"
    least: Severity = Severity.INFO

    def send(self, message: Message) -> None:
        once = {"Idempotency-Key": same(message)}
        post(self.url, as_json(message), secrets=secret_parts(self.url), headers=once)
