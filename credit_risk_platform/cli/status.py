"""What stands, what scores and what serves, read from Dagster's records and the champion pointer: no server needed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from credit_risk_platform.cli.probes import ServerStatus, probe
from credit_risk_platform.cli.progress import REJECTED, ROWS, number
from credit_risk_platform.cli.tables import new_table
from credit_risk_platform.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dagster import AssetCheckKey, AssetKey, DagsterInstance
    from rich.console import Console
    from rich.table import Table

RECENT_RUNS = 25
SPLITS = ("train", "validation", "out_of_time")
HEADLINE_METRICS = ("auc", "ks", "brier", "ece", "log_loss")


@dataclass
class AssetStatus:
    """Latest materialisation of one asset. `rows` is None where an asset has no rows (a model, a report)."""

    rows: int | None
    rejected: int
    materialised_at: str
    run_id: str
    checks_passed: int = 0
    checks_failed: int = 0
    checks_warned: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Status:
    """Everything `crp status` knows; `as_dict` is its JSON."""

    home: str
    assets: dict[str, AssetStatus]
    champion: dict[str, Any] | None
    behaviour_champion: dict[str, Any] | None
    retraining: dict[str, Any] | None
    servers: dict[str, ServerStatus]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def collect(settings: Settings) -> Status:
    """Works before the first run and with every server down."""
    return Status(
        home=str(settings.home),
        assets=_assets(settings),
        champion=_champion(settings),
        behaviour_champion=_champion(settings, "behaviour"),
        retraining=_retraining(settings),
        servers=probe(settings),
    )


def _champion(settings: Settings, role: str = "") -> dict[str, Any] | None:
    from credit_risk_platform.adapters.bundles import BundleStore

    pointer = BundleStore(settings.files("models"), role).pointer()
    if pointer is None:
        return None
    return {name: value for name, value in pointer.as_dict().items() if name != "history"}


def _retraining(settings: Settings) -> dict[str, Any] | None:
    """The last training that evidence called for: by what, whether its model was promoted, until when none follows."""
    from credit_risk_platform.adapters.bundles import BundleStore
    from credit_risk_platform.adapters.retraining_record import RetrainingRecord

    last = RetrainingRecord(settings.files("models")).last()
    if last is None:
        return None
    pointer = BundleStore(settings.files("models")).pointer()
    cooldown = timedelta(days=settings.retrain_cooldown_days)
    return {
        "triggered_at": last.at.isoformat(timespec="seconds"),
        "trigger": last.trigger,
        "value": last.value,
        "evidence": str(last.basis),
        "run_id": last.run_id,
        "promoted": pointer is not None and any(entry.run_id == last.run_id for entry in pointer.history),
        "cooldown_until": (last.at + cooldown).isoformat(timespec="seconds"),
    }


def _assets(settings: Settings) -> dict[str, AssetStatus]:
    if not (settings.paths.dagster / "dagster.yaml").exists():
        return {}
    import dagster as dg

    with dg.DagsterInstance.from_config(str(settings.paths.dagster)) as instance:
        assets = _materialised(instance)
        _count_checks(instance, assets)
    return {key.to_user_string(): assets[key] for key in sorted(assets)}


def _materialised(instance: DagsterInstance) -> dict[AssetKey, AssetStatus]:
    events = instance.get_latest_materialization_events(instance.get_asset_keys())
    found = {}
    for key, entry in events.items():
        if entry is not None and entry.asset_materialization is not None:
            metadata = entry.asset_materialization.metadata
            found[key] = AssetStatus(
                rows=number(metadata, ROWS),
                rejected=number(metadata, REJECTED) or 0,
                materialised_at=datetime.fromtimestamp(entry.timestamp, UTC).isoformat(timespec="seconds"),
                run_id=entry.run_id,
            )
    return found


def _count_checks(instance: DagsterInstance, assets: dict[AssetKey, AssetStatus]) -> None:
    """The latest evaluation of each check, in whichever run it was made."""
    keys = list(_known_checks(instance, {status.run_id for status in assets.values()}))
    for key, record in instance.event_log_storage.get_asset_check_summary_records(keys).items():
        completed = record.last_completed_check_execution_record
        status = assets.get(key.asset_key)
        event = completed.event.dagster_event if completed is not None and completed.event is not None else None
        if status is None or event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        if evaluation.passed:
            status.checks_passed += 1
        elif evaluation.severity.value == "WARN":
            status.checks_warned += 1
        else:
            status.checks_failed += 1
            status.failed.append(key.name)


def _known_checks(instance: DagsterInstance, run_ids: Iterable[str]) -> set[AssetCheckKey]:
    """Checks that spoke in the runs that made the assets or in the latest runs.

    Dagster keeps no list of check names outside the definitions, and loading those takes seconds and can fail.
    """
    from dagster import DagsterEventType

    recent = {run.run_id for run in instance.get_runs(limit=RECENT_RUNS)}
    checks = set()
    for run_id in recent.union(run_ids):
        page = instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
        for record in page.records:
            event = record.event_log_entry.dagster_event
            if event is not None:
                checks.add(event.asset_check_evaluation_data.asset_check_key)
    return checks


def show(status: Status, console: Console) -> None:
    """The same for people."""
    if status.assets:
        console.print(_asset_table(status.assets))
    else:
        console.print(f"Nothing is materialised in {status.home} yet. Start with: crp demo --once")
    if status.champion:
        console.print(_champion_table(status.champion, "Champion"))
    elif status.assets:
        console.print("No champion yet: crp train")
    if status.behaviour_champion:
        console.print(_champion_table(status.behaviour_champion, "Behavioural champion"))
    if status.retraining:
        console.print(_retraining_line(status.retraining))
    servers = new_table("Servers", ("server", "url", "state"))
    for name, server in status.servers.items():
        servers.add_row(name, server.url, "[green]up[/]" if server.up else "[dim]down[/]")
    console.print(servers)


def _asset_table(assets: dict[str, AssetStatus]) -> Table:
    table = new_table("Assets", ("asset", "rows", "rejected", "checks", "made (UTC)"), right=("rows", "rejected"))
    for name, asset in assets.items():
        checks = f"{asset.checks_passed} ok" if asset.checks_passed else ""
        if asset.checks_warned:
            checks += f" [yellow]{asset.checks_warned} warn[/]"
        if asset.checks_failed:
            checks += f" [red]{asset.checks_failed} FAILED: {', '.join(asset.failed)}[/]"
        rows = f"{asset.rows:,}" if asset.rows is not None else ""
        rejected = f"[yellow]{asset.rejected:,}[/]" if asset.rejected else ""
        table.add_row(name, rows, rejected, checks.strip(), asset.materialised_at[5:16].replace("T", " "))
    return table


def _champion_table(champion: dict[str, Any], word: str) -> Table:
    title = f"{word}: {champion['name']} version {champion['version']}, bundle {champion['sha'][:12]}"
    table = new_table(title, ("split", *HEADLINE_METRICS), right=HEADLINE_METRICS)
    measured = champion["metrics"]
    for split in sorted(measured, key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS)):
        table.add_row(split, *(f"{measured[split][m]:.4f}" if m in measured[split] else "" for m in HEADLINE_METRICS))
    return table


def _retraining_line(last: dict[str, Any]) -> str:
    began, ends = (last[name][:16].replace("T", " ") for name in ("triggered_at", "cooldown_until"))
    outcome = "promoted a new champion" if last["promoted"] else "no new champion so far"
    return (
        f"Retraining: {last['trigger']} {last['value']} started run {last['run_id'][:8]} at {began} UTC ({outcome}); "
        f"cool-down until {ends} UTC\n"
    )
