"""What the channels have in common: the words of a message, and its JSON."""

from __future__ import annotations

from typing import Any

from credit_risk_platform.domain.alerts import Fact, Message

SOURCE = "credit-risk-platform"


def headline(message: Message) -> str:
    """What happened, in one line: severity and title, or that it cleared."""
    what = message.finding.severity.upper() if message.kind == "fired" else "Cleared"
    return f"{what}: {message.finding.title}"


def shown(value: Fact) -> str:
    """A number with at most six significant digits, as people read it."""
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def same(message: Message) -> str:
    """Tells a message from every other one, and is the same when it has to be sent again."""
    return f"{message.incident}.{message.kind}.{message.finding.severity}"


def as_json(message: Message) -> dict[str, Any]:
    """All there is to say; `text` alone does for a text message."""
    finding = message.finding
    return {
        "source": SOURCE,
        "kind": message.kind,
        "severity": finding.severity.value,
        "text": headline(message),
        "title": finding.title,
        "key": finding.key,
        "facts": dict(finding.facts),
        "link": finding.link,
        "incident": message.incident,
        "at": message.at.isoformat(),
    }
