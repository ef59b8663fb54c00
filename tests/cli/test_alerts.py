"""`crp alerts`: what an operator sees of the alerts, and whether the channels and the rules are any good."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.alerting.channels.slack import SlackChannel
from credit_risk_platform.cli.main import app
from credit_risk_platform.domain.alerts import Finding, Severity
from tests.alert_receivers import http_receiver

RUN = CliRunner()


def test_open_and_cleared_alerts_and_what_waits_are_listed(tmp_path: Path) -> None:
    book, now = AlertBook(tmp_path / "alerts"), datetime.now(UTC)
    findings = [Finding(f"run/{name}", Severity.WARNING, f"{name} failed", {"rows": 5}) for name in ("score", "train")]
    book.report(findings, [], now)
    book.deliver([SlackChannel("http://127.0.0.1:1/x")], now)
    book.report([], ["run/train"], now)
    shown = RUN.invoke(app, ["alerts", "list", "--home", str(tmp_path)])
    assert shown.exit_code == 0
    current, over = shown.stdout.split("Over, last 7 days")
    assert "score failed" in current
    assert "train failed" in over
    assert "slack: 2 messages wait since" in over
    told = json.loads(RUN.invoke(app, ["alerts", "list", "--json", "--home", str(tmp_path)]).stdout)
    assert [row["cleared_at"] is None for row in sorted(told["incidents"], key=lambda row: row["key"])] == [True, False]


def test_looking_makes_no_home(tmp_path: Path) -> None:
    shown = RUN.invoke(app, ["alerts", "list", "--home", str(tmp_path / "typo")])
    assert shown.stdout == "Nothing is wrong now.\n"
    assert not (tmp_path / "typo").exists()


def test_a_test_message_says_which_channel_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as web:
        monkeypatch.setenv("CRP_ALERT_WEBHOOK_URL", web.url)
        monkeypatch.setenv("CRP_ALERT_SLACK_URL", "http://127.0.0.1:1/services/secret-token")
        shown = RUN.invoke(app, ["alerts", "test", "--home", str(tmp_path)])
    assert shown.exit_code == 1
    assert shown.stdout.splitlines() == [
        "file: taken",
        "slack: 127.0.0.1 could not be reached, or hung up",
        "webhook: taken",
    ]
    assert [body["kind"] for body in web.bodies] == ["fired", "cleared"]
    assert len({body["incident"] for body in web.bodies}) == 1


def test_the_rules_are_shown_or_what_is_wrong_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    shown = RUN.invoke(app, ["alerts", "rules", "--home", str(tmp_path)])
    assert shown.exit_code == 0
    [latency] = [
        rule
        for rule in json.loads(RUN.invoke(app, ["alerts", "rules", "--json"]).stdout)
        if rule["name"] == "high_api_latency"
    ]
    assert latency["fires"] == "api_latency_p95 above 200 ms for 5 min"
    bad = tmp_path / "alerts.yaml"
    bad.write_text("alerts: [{name: x, metric: latency, threshold: 1, duration: 5m, severity: info}]")
    monkeypatch.setenv("CRP_ALERTS_FILE", str(bad))
    refused = RUN.invoke(app, ["alerts", "rules"])
    assert refused.exit_code == 1
    assert "alerts[1] (x): metric is 'latency'; write one of api_latency_p95" in refused.stderr
