"""`crp alerts`: what is wrong now, whether the channels work, and whether the rules can be read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_risk_platform.cli.command import AsJson, Home, command, console, print_json

if TYPE_CHECKING:
    from credit_risk_platform.adapters.alerting.channels import Channel
    from credit_risk_platform.domain.alerts import AlertRule
    from credit_risk_platform.settings import Settings

app = typer.Typer(help="Alerts: what is wrong now, the channels, the rules.", no_args_is_help=True)
Days = Annotated[int, typer.Option(min=1, help="How far back to look for what is over.")]


@app.command("list")
def list_alerts(days: Days = 7, home: Home = None, as_json: AsJson = False) -> None:
    """What is wrong now, what was lately, and messages that a channel has not taken yet."""
    from credit_risk_platform.adapters.alerting.book import AlertBook

    with command():
        folder = _settings(home).paths.alerts
        book = AlertBook(folder) if folder.exists() else None  # a mistyped home is not made by looking at it
        waiting = book.waiting() if book else []
        found = book.history(datetime.now(UTC) - timedelta(days=days)) if book else []
        if as_json:
            print_json({"incidents": found, "waiting": waiting})
        else:
            _show(found, waiting, days)


@app.command("test")
def try_channels(home: Home = None, as_json: AsJson = False) -> None:
    """Send a test message through each channel that is set up; exit code 1 when one did not take it."""
    from credit_risk_platform.resources import alert_channels

    with command():
        told = [_tried(channel, datetime.now(UTC)) for channel in alert_channels(_settings(home))]
        if as_json:
            print_json(told)
        else:
            for outcome in told:
                console.print(f"{outcome['channel']}: {outcome['error'] or 'taken'}", markup=False, soft_wrap=True)
        raise typer.Exit(1 if any(outcome["error"] for outcome in told) else 0)


@app.command()
def rules(home: Home = None, as_json: AsJson = False) -> None:
    """Read the file of alert rules as the platform does, and show them, or what is wrong with it."""
    from credit_risk_platform.adapters.alerting.rules_file import read_rules
    from credit_risk_platform.cli.home import CommandError
    from credit_risk_platform.domain.alerts import AlertRuleError

    with command():
        settings = _settings(home)
        try:
            found = read_rules(settings.alerts_file)
        except AlertRuleError as error:
            raise CommandError(str(error)) from error
        shown = [_rule(rule) for rule in found]
        if as_json:
            print_json(shown)
        else:
            brief = [{name: rule[name] for name in ("name", "severity", "fires")} for rule in shown]
            _table(f"Alert rules of {settings.alerts_file}", brief)


def _settings(home: Any) -> Settings:
    from credit_risk_platform.cli.home import open_home

    return open_home(home)


def _tried(channel: Channel, now: datetime) -> dict[str, str]:
    """Fires and clears a made-up incident, so that whoever is woken up sees it end by itself."""
    import uuid

    from credit_risk_platform.adapters.alerting.channels import ChannelError
    from credit_risk_platform.domain.alerts import Finding, Message

    finding = Finding(
        "test/channels", channel.least, "Test of the alert channels: nothing is wrong", {"channel": channel.name}
    )
    incident = f"test-{uuid.uuid4().hex}"
    try:
        channel.send(Message("fired", finding, now, incident))
        channel.send(Message("cleared", finding, now, incident))
    except ChannelError as error:
        return {"channel": channel.name, "error": str(error)}
    return {"channel": channel.name, "error": ""}


def _rule(rule: AlertRule) -> dict[str, str]:
    from credit_risk_platform.domain.alert_metrics import METRICS

    metric = METRICS[rule.metric]
    beyond = "above" if rule.comparison == "greater" else "below"
    hours, minutes = divmod(int(rule.duration.total_seconds()) // 60, 60)
    held = f"{hours} h" if not minutes else f"{hours * 60 + minutes} min"
    fires = f"{rule.metric} {beyond} {metric.show(rule.threshold)} for {held}"
    return {"name": rule.name, "severity": rule.severity.value, "fires": fires, "metric": metric.description}


def _show(found: Sequence[dict[str, Any]], waiting: Sequence[dict[str, Any]], days: int) -> None:
    current = [_incident(row) for row in found if row["cleared_at"] is None]
    over = [_incident(row) for row in found if row["cleared_at"] is not None]
    _table("Open alerts", current) if current else console.print("Nothing is wrong now.")
    if over:
        _table(f"Over, last {days} days", over)
    for row in waiting:
        console.print(
            f"{row['channel']}: {row['messages']} messages wait since {row['oldest'][:16]}"
            + (f", {row['last_error']}" if row["last_error"] else ""),
            markup=False,
            soft_wrap=True,
        )


def _incident(row: dict[str, Any]) -> dict[str, str]:
    times = {name: (row[name] or "")[:16].replace("T", " ") for name in ("opened_at", "cleared_at")}
    facts = ", ".join(f"{name} {value}" for name, value in row["facts"].items())
    return {"severity": row["severity"], "what": row["title"], "key": row["key"], **times, "facts": facts}


def _table(title: str, rows: Sequence[dict[str, str]]) -> None:
    from credit_risk_platform.cli.tables import new_table

    table = new_table(title, tuple(rows[0]) if rows else ("nothing",))
    for row in rows:
        table.add_row(*row.values())
    console.print(table, markup=False)
