"""Alert rules and findings: S4's file as it was published, errors that say what to mend, nobody's data in a message."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml

from credit_risk_platform.adapters.alerting.rules_file import read_rules
from credit_risk_platform.domain.alert_metrics import METRICS
from credit_risk_platform.domain.alerts import (
    AlertRule,
    AlertRuleError,
    Comparison,
    Finding,
    FindingError,
    Severity,
    rules_from,
)
from credit_risk_platform.domain.privacy import blurred, is_personal
from credit_risk_platform.settings import PROJECT_ROOT, Settings

S4_FILE = """
alerts:
  - name: high_api_latency
    metric: api_latency_p95
    threshold: 200  # ms
    duration: 5m
    severity: warning

  - name: model_performance_degradation
    metric: auc_roc
    threshold: 0.75
    comparison: less_than
    duration: 1d
    severity: critical

  - name: data_drift_detected
    metric: feature_drift_score
    threshold: 0.15
    duration: 1h
    severity: warning
"""
ENTRY = {"name": "high_lag", "metric": "stream_lag_messages", "threshold": 5, "duration": "5m", "severity": "info"}


def test_the_alerts_file_s4_published_loads_as_it_is() -> None:
    assert rules_from(yaml.safe_load(S4_FILE)) == (
        AlertRule("high_api_latency", "api_latency_p95", 200.0, timedelta(minutes=5), Severity.WARNING),
        AlertRule(
            "model_performance_degradation",
            "auc_roc",
            0.75,
            timedelta(days=1),
            Severity.CRITICAL,
            Comparison.LESS_THAN,
        ),
        AlertRule("data_drift_detected", "feature_drift_score", 0.15, timedelta(hours=1), Severity.WARNING),
    )


def test_our_own_rules_load_and_none_watches_a_fixed_auc() -> None:
    rules = {rule.name: rule for rule in read_rules(Settings().alerts_file)}
    assert {"high_api_latency", "data_drift_detected"} < set(rules)
    assert rules["model_performance_degradation"].metric == "auc_drop_vs_development"
    assert "auc_roc" not in {rule.metric for rule in rules.values()}


def test_on_its_threshold_a_rule_is_quiet_and_nan_breaches_nothing() -> None:
    latency, auc, _ = rules_from(yaml.safe_load(S4_FILE))
    assert [latency.breached(value) for value in (199, 200, 200.1, float("nan"))] == [False, False, True, False]
    assert [auc.breached(value) for value in (0.749, 0.75, 0.8, float("nan"))] == [True, False, False, False]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metric": "api_latency_p59"}, "metric is 'api_latency_p59'; write one of api_latency_p95, api_error_rate"),
        ({"metric": ["auc_roc"]}, "metric is ['auc_roc']"),
        ({"severity": "fatal"}, "severity is 'fatal'; write one of info, warning, critical"),
        ({"duration": "1 hour"}, "duration is '1 hour'; write a whole number and s, m, h or d"),
        ({"duration": 300}, "duration is 300"),
        ({"threshold": "200ms"}, "threshold is '200ms'; write a number"),
        ({"threshold": True}, "threshold is True"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"comparison": "less"}, "comparison is 'less'; write one of greater, less_than"),
        ({"treshold": 3}, "unknown key treshold; an entry has name, metric, threshold"),
        ({"name": "high lag"}, "name is 'high lag'"),
    ],
)
def test_a_wrong_entry_is_named_with_its_field_and_what_to_write(change: dict[str, Any], told: str) -> None:
    with pytest.raises(AlertRuleError) as error:
        rules_from({"alerts": [{**ENTRY, "name": "first"}, {**ENTRY, **change}]})
    assert str(error.value).startswith("alerts[2]")
    assert told in str(error.value)


@pytest.mark.parametrize("content", [None, [ENTRY], {"alert": []}, {"alerts": {}}, {"alerts": ["high_lag"]}])
def test_a_file_of_another_form_is_refused(content: object) -> None:
    with pytest.raises(AlertRuleError, match="write"):
        rules_from(content)


def test_a_missing_field_and_a_name_given_twice_are_refused() -> None:
    with pytest.raises(AlertRuleError, match=r"alerts\[1\] \(high_lag\): duration, severity is missing"):
        rules_from({"alerts": [{name: ENTRY[name] for name in ("name", "metric", "threshold")}]})
    with pytest.raises(AlertRuleError, match=r"alerts\[2\] \(high_lag\): name stands there twice"):
        rules_from({"alerts": [ENTRY, ENTRY]})


def test_a_file_that_is_no_yaml_or_not_there_says_so(tmp_path: Any) -> None:
    file = tmp_path / "alerts.yaml"
    with pytest.raises(AlertRuleError, match="is not there: mend CRP_ALERTS_FILE"):
        read_rules(file)
    file.write_text("alerts: [")
    with pytest.raises(AlertRuleError, match=r"alerts\.yaml: this is no YAML"):
        read_rules(file)


def test_a_metric_reads_with_its_unit() -> None:
    assert METRICS["api_latency_p95"].show(412.44) == "412.4 ms"
    assert METRICS["stream_lag_messages"].show(1_234_567.0) == "1,234,567 messages"
    assert METRICS["auc_roc"].show(0.691723) == "0.6917"


@pytest.mark.parametrize(
    "name",
    ["customer_id", "customerId", "Customer", "e-mail", "email", "phone_number", "name", "last name", "account_no",
     "member_id", "emp_title", "zip_code", "age", "subject_token", "address"],
)  # fmt: skip
def test_a_personal_fact_is_an_error_before_anything_is_sent(name: str) -> None:
    with pytest.raises(FindingError, match="is personal data"):
        Finding("run/score", Severity.INFO, "title", {name: "x"})


@pytest.mark.parametrize("name", ["job_name", "rule", "feature", "feed_age_hours", "num_credit_accounts", "psi"])
def test_facts_about_the_platform_are_told(name: str) -> None:
    assert not is_personal(name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ask jo.doe+x@bank.co.in now", "ask [e-mail] now"),
        ("account 123456789012 failed", "account [number] failed"),
        ("card 4111 1111 1111 1111, phone +1 (555) 123-4567", "card [number], phone [number]"),
        ("ssn 123-45-6789", "ssn [number]"),
        ("run 550e8400-e29b-41d4-a716-446655440000", "run 550e8400-e29b-41d4-a716-446655440000"),
        ("score 00000000000000001234567890123456", "score 00000000000000001234567890123456"),
        ("psi 0.123456789012 on 2026-11-21 18:24:05", "psi 0.123456789012 on 2026-11-21 18:24:05"),
        ("12,345,678 rows of 2026-01-01..2026-02-01", "12,345,678 rows of 2026-01-01..2026-02-01"),
    ],
)
def test_texts_lose_addresses_and_long_numbers_but_no_ids_and_dates(text: str, told: str) -> None:
    assert blurred(text) == told
    finding = Finding("run/score", Severity.INFO, f"{text}\nBcc: me", {"error": text})
    assert finding.title == f"{told} Bcc: me"
    assert finding.facts == {"error": told}


def test_a_finding_carries_only_what_a_message_can() -> None:
    finding = Finding("run/score", Severity.INFO, "t", {"psi": float("inf"), "rows": 3})
    assert finding.facts == {"psi": "inf", "rows": 3}
    with pytest.raises(FindingError, match="'when' is a timedelta"):
        Finding("run/score", Severity.INFO, "t", {"when": timedelta()})  # type: ignore[dict-item]
    with pytest.raises(FindingError, match="key 'run/\\[e-mail\\]'"):
        Finding("run/jo@bank.com", Severity.INFO, "t")


def test_the_page_on_alerts_lists_every_metric_with_its_unit() -> None:
    rows = [line.split("|")[1:3] for line in (PROJECT_ROOT / "docs" / "alerts.md").read_text().splitlines()]
    listed = {row[0].strip(" `"): row[1].strip() for row in rows if row and row[0].strip().startswith("`")}
    assert listed == {metric.name: metric.unit for metric in METRICS.values()}
