"""A home is the folder that holds everything one portfolio made. Here: find its settings, make it ready for Dagster.

A home remembers which book it was made from (`crp.env`), so that `crp score` after `crp demo --source lendingclub`
means the same book. Precedence: options, environment, what the home remembers, the project's `.env`, defaults.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from credit_risk_platform.settings import PROJECT_ROOT, Settings

KEPT_RUN_LOGS = 100
REMEMBERED = ("portfolio_source", "lending_club_path", "macro_path", "synthetic_loans", "seed")


class CommandError(Exception):
    """Ends a command with exit code 1; the message says what is wrong and what to do. `main` prints it."""


def open_home(home: Path | None = None, *, recall: bool = True, **chosen: Any) -> Settings:
    """Settings of a home, without touching it. `chosen` options that are None stand aside for the other sources."""
    options = {name: value for name, value in chosen.items() if value is not None}
    if home is not None:
        options["home"] = home
    try:
        place = Settings(**options).home
        files = (PROJECT_ROOT / ".env", place / "crp.env") if recall else (PROJECT_ROOT / ".env",)
        return Settings(_env_file=files, **{**options, "home": place})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors())
        raise CommandError(f"a setting is wrong: {problems}") from error


def prepare_home(settings: Settings) -> None:
    """Make the folders and DAGSTER_HOME's `dagster.yaml`: the chosen one, and what settings add. Again: no change."""
    paths = settings.paths
    try:
        for folder in (paths.dagster, paths.landing, logs(settings)):
            folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(logs(settings).glob("run-*.log"), key=lambda log: log.stat().st_mtime)[:-KEPT_RUN_LOGS]:
            old.unlink()
        (paths.dagster / "dagster.yaml").write_text(settings.dagster_config.read_text() + _compute_logs(settings))
    except OSError as error:
        raise CommandError(f"{paths.home} cannot be written: {error.strerror}. Choose another: --home DIR") from error


def _compute_logs(settings: Settings) -> str:
    """What steps print goes to the lake's bucket too, where the lake is on S3: a container's disk goes with it."""
    store = settings.object_store
    if store is None or store.scheme != "s3":
        return ""
    import yaml

    config: dict[str, Any] = {
        "bucket": store.bucket,
        "prefix": f"{store.prefix}/compute-logs".lstrip("/"),
        "local_dir": str(settings.paths.dagster / "compute-logs"),
        "upload_interval": 30,
        "skip_empty_files": True,
    }
    given = {"endpoint_url": store.endpoint_url, "region": store.region, "upload_extra_args": store.upload_options}
    config |= {name: value for name, value in given.items() if value}
    manager = {"module": "dagster_aws.s3.compute_log_manager", "class": "S3ComputeLogManager", "config": config}
    return "\n" + yaml.safe_dump({"compute_logs": manager}, sort_keys=False)


def remember(settings: Settings) -> None:
    """Write down which book this home was made from, and where its Kafka is. No secret is among these settings."""
    values = {name: getattr(settings, name) for name in REMEMBERED}
    lines = [f"CRP_{name.upper()}={value}" for name, value in values.items() if value is not None]
    if settings.kafka_bootstrap_servers != Settings.model_fields["kafka_bootstrap_servers"].default:
        lines.append(f"CRP_KAFKA_BOOTSTRAP_SERVERS={settings.kafka_bootstrap_servers}")  # where our broker had to move
    (settings.paths.home / "crp.env").write_text("\n".join(lines) + "\n")


def logs(settings: Settings) -> Path:
    """Where the output of every process we start goes."""
    return settings.paths.home / "logs"
