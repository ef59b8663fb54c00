"""`alert_rules`: holds each rule of the alerts file against its metric, twice a minute."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import api_scrape
from credit_risk_platform.adapters.alert_gauges import Gauges, Reading
from credit_risk_platform.adapters.alert_metrics import measure
from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.alerting.rules_file import read_rules
from credit_risk_platform.adapters.api_scrape import Lately
from credit_risk_platform.adapters.stream_health import waiting
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.defs.alerts.tell import LOOK_EVERY_SECONDS, Desk, asset_page, status
from credit_risk_platform.domain.alert_metrics import METRICS
from credit_risk_platform.domain.alerts import AlertRule, AlertRuleError, Comparison, Finding, Severity
from credit_risk_platform.resources import stream_transport
from credit_risk_platform.settings import Settings

FILE_KEY = "rules/alerts_file"
LOOKS = "api_scrape"
"""Cursor of the alert book that keeps the last looks at the API."""


def build_rules_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="alert_rules",
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=status(settings),
        description=(
            f"Measures what the rules of {settings.alerts_file.name} watch (API, drift, performance, streams) and "
            "tells each breach once, when it has lasted as long as its rule says, and once more when it is over."
        ),
    )
    def alert_rules(
        context: dg.SensorEvaluationContext,
        warehouse: dg.ResourceParam[Warehouse],
        alert_book: dg.ResourceParam[AlertBook],
        alert_channels: dg.ResourceParam[Any],
    ) -> dg.SkipReason:
        desk = Desk(alert_book, alert_channels, dt.datetime.now(dt.UTC))
        return look(settings, warehouse, desk)

    return alert_rules


def look(settings: Settings, warehouse: Warehouse, desk: Desk) -> dg.SkipReason:
    """One tick. A file that cannot be read is an alert of its own; what fires stays as it is meanwhile."""
    try:
        rules = read_rules(settings.alerts_file)
    except AlertRuleError as error:
        facts = {"next_step": str(error)}
        desk.report([Finding(FILE_KEY, Severity.CRITICAL, "The alert rules cannot be read: none is watched", facts)])
        return desk.send(f"No rule was looked at: {error}")
    gauges = Gauges(
        warehouse,
        desk.now,
        lambda: _calls(settings, desk),
        lambda: waiting(stream_transport(settings, warehouse), settings.kafka_group),
        settings.home,
    )
    faults: dict[str, str] = {}
    readings = {metric: _reading(metric, gauges, faults) for metric in dict.fromkeys(rule.metric for rule in rules)}
    firing = [_unmeasured(metric, error) for metric, error in faults.items()]
    healthy = [FILE_KEY, *_dropped(desk.book, rules), *(f"rules/{name}" for name in METRICS if name not in faults)]
    for rule in rules:
        value = readings[rule.metric].value
        held = desk.book.held(rule, value, desk.now)
        if value is None:
            continue  # what is open stays open, with the figures it was told with
        if held:
            firing.append(_finding(rule, value, readings[rule.metric], settings.dagster_url))
        elif not rule.breached(value):
            healthy.append(rule.key)
    desk.report(firing, healthy)
    return desk.send(_said(rules, readings, firing))


def _reading(metric: str, gauges: Gauges, faults: dict[str, str]) -> Reading:
    """The metric; what should never happen goes into `faults`."""
    try:
        return measure(metric, gauges)
    except Exception as error:  # noqa: BLE001 - one blind metric must not hide the others; it is told as an alert
        faults[metric] = type(error).__name__
        return Reading(None, note=f"{type(error).__name__}: {error}")


def _unmeasured(metric: str, error: str) -> Finding:
    facts = {"metric": metric, "error": error, "next_step": "The ticks of the sensor alert_rules tell the whole error."}
    return Finding(f"rules/{metric}", Severity.WARNING, f"{metric} cannot be measured: its rules are blind", facts)


def _dropped(book: AlertBook, rules: tuple[AlertRule, ...]) -> list[str]:
    """Open incidents of rules that were taken out of the file: nobody would ever close them."""
    known = {rule.key for rule in rules}
    return [one["key"] for one in book.open_incidents() if one["key"].startswith("rule/") and one["key"] not in known]


def _finding(rule: AlertRule, value: float, reading: Reading, dagster_url: str) -> Finding:
    metric = METRICS[rule.metric]
    side = "above" if rule.comparison is Comparison.GREATER else "below"
    return Finding(
        key=rule.key,
        severity=rule.severity,
        title=f"{rule.name}: {rule.metric} is {metric.show(value)}, {side} {metric.show(rule.threshold)}",
        facts={
            "metric": rule.metric,
            "value": value,
            "threshold": rule.threshold,
            "lasting_at_least": str(rule.duration),
            "meaning": metric.description,
            **reading.facts,
        },
        link=asset_page(dagster_url, reading.asset) if reading.asset else None,
    )


def _said(rules: tuple[AlertRule, ...], readings: Mapping[str, Reading], firing: list[Finding]) -> str:
    told = [
        f"{name} {METRICS[name].show(found.value) if found.value is not None else f'no data ({found.note})'}"
        for name, found in readings.items()
    ]
    fires = ", ".join(finding.key for finding in firing) or "none"
    return f"{len(rules)} rules looked at: {'; '.join(told) or 'no metric'}. Firing: {fires}."


def _calls(settings: Settings, desk: Desk) -> Lately | None:
    """Scrape the API and keep the look for the next ticks."""
    now_seen = api_scrape.scrape(f"http://{settings.host}:{settings.api_port}/metrics", desk.now)
    looks = [*api_scrape.remembered(desk.book.cursor(LOOKS), desk.now), now_seen]
    desk.book.set_cursor(LOOKS, api_scrape.to_text(looks))
    return api_scrape.lately(looks)
