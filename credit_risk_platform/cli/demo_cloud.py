"""`crp demo-cloud`: the demo on Snowflake and S3, without an account: servers on this machine stand in for both.

What it runs are ordinary commands with other settings, each in a process of its own, as they would run on accounts.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from credit_risk_platform.cli.home import logs, open_home
from credit_risk_platform.settings import Settings, Target

if TYPE_CHECKING:
    from rich.console import Console

BUCKET, PREFIX = "credit-risk-lake", "demo"
LAKE = f"s3://{BUCKET}/{PREFIX}"
DATABASE = "CREDIT_RISK_DB"
OTHER_ACCOUNTS = ("SNOWFLAKE_", "CRP_SNOWFLAKE_", "AWS_", "CRP_S3_", "CRP_LAKE_URL", "CRP_TARGET", "CRP_TWIN_HOME")
"""Variables that would lead a run to an account of the user: none of them reaches it."""


@dataclass(frozen=True)
class Step:
    """One command. `settings` tell it from the others; where its target is Snowflake, the cloud's come on top."""

    title: str
    settings: Mapping[str, str]
    arguments: tuple[str, ...]

    @property
    def words(self) -> str:
        """As a shell would be told."""
        return " ".join((*(f"{name}={value}" for name, value in self.settings.items()), "crp", *self.arguments))


def demo_settings(home: Path | None, loans: int | None) -> Settings:
    """Settings of one demo; its home is a folder of the usual one unless another is named."""
    place = home if home is not None else Settings().home / "cloud"
    return open_home(place, recall=False, synthetic_loans=loans)


def steps(settings: Settings) -> tuple[Step, ...]:
    """What runs, in this order. The twin has a home of its own: a home remembers the seals of one ledger."""
    demo = ("demo", "--once", "--loans", str(settings.synthetic_loans), "--home")
    on_snowflake, on_ducklake = {"CRP_TARGET": "snowflake"}, {"CRP_TARGET": "local"}
    home, twin = str(settings.home), str(twin_home(settings))
    parity = {**on_snowflake, "CRP_TWIN_HOME": twin}
    return (
        Step("The whole graph on Snowflake, its files on S3", on_snowflake, (*demo, home)),
        Step("The same book on DuckLake, its files in a folder", on_ducklake, (*demo, twin)),
        Step("Do both warehouses hold the same marts?", parity, ("parity", "--home", home)),
    )


def run(settings: Settings, console: Console) -> int:
    """Exit code of the first step that failed, 0 when every one succeeded and the warehouses agree."""
    started = time.monotonic()
    console.print("Starting what stands in for the cloud on this machine: fakesnow (Snowflake) and rclone (S3) ...")
    with cloud(settings) as reached:
        for number, step in enumerate(steps(settings), start=1):
            console.print(f"\n[bold]{number}. {step.title}[/]\n   {step.words}", soft_wrap=True)
            if code := _run(step.arguments, environment(settings, step.settings, reached)):
                console.print(f"[red]Step {number} ended with exit code {code}; its lines above say why.[/]")
                return code
        _tell(settings, time.monotonic() - started, console)
    console.print("Both servers are stopped.")
    return 0


@contextmanager
def cloud(settings: Settings) -> Iterator[Mapping[str, str]]:
    """Both servers, with keys made for this time; yields the settings by which a process takes them for the cloud."""
    from credit_risk_platform.cli import stand_ins

    stand_ins.fetch_fakesnow()
    key, secret = f"DEMO{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30)
    databases, bucket = settings.home / "snowflake", _bucket(settings)
    bucket.mkdir(parents=True, exist_ok=True)
    with (
        stand_ins.snowflake(logs(settings) / "fakesnow.log", databases) as snowflake,
        stand_ins.s3(bucket.parent, key, secret, logs(settings) / "rclone.log") as s3,
    ):
        yield {
            "CRP_LAKE_URL": LAKE,
            "CRP_S3_ENDPOINT_URL": f"http://{stand_ins.HOST}:{s3}",
            "CRP_S3_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SNOWFLAKE_ACCOUNT": "fakesnow",
            "SNOWFLAKE_USER": "CRP_SERVICE",
            "SNOWFLAKE_PASSWORD": secrets.token_urlsafe(30),
            "SNOWFLAKE_ROLE": "CRP_PLATFORM",
            "SNOWFLAKE_DATABASE": DATABASE,
            "SNOWFLAKE_HOST": stand_ins.HOST,
            "SNOWFLAKE_PORT": str(snowflake),
            "SNOWFLAKE_PROTOCOL": "http",
        }


def environment(settings: Settings, chosen: Mapping[str, str], reached: Mapping[str, str]) -> dict[str, str]:
    """Of a step's process: this one's without what leads elsewhere, and the cloud's where the target is Snowflake.

    A setting that nobody set stays unsaid. Both homes get one token key, the first one's: a person is the same in both.
    """
    from credit_risk_platform.adapters.tokens import load_token_key

    given = settings.pii_token_key
    key = load_token_key(settings.paths.secrets, given.get_secret_value() if given else None)
    unsaid = {f"CRP_{name.upper()}" for name in Settings.model_fields.keys() - settings.model_fields_set}
    kept = {
        name: value
        for name, value in settings.environment().items()
        if name not in unsaid and not name.startswith(OTHER_ACCOUNTS)
    }
    on_top = reached if chosen["CRP_TARGET"] == Target.SNOWFLAKE else {}
    return {**kept, "CRP_PII_TOKEN_KEY": key.secret.decode(), **on_top, **chosen}


def twin_home(settings: Settings) -> Path:
    """The home of the same book on DuckLake."""
    return settings.home / "twin"


# ---------------------------------------------------------------- inside


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The command's exit code. In a session of its own: the terminal's Ctrl-C reaches us alone, we pass it on once."""
    process = subprocess.Popen(
        [sys.executable, "-m", "credit_risk_platform.cli.main", *arguments],
        env=dict(environment),
        start_new_session=True,
    )
    try:
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)  # it ends its run before it ends
        process.wait()
        raise


def _tell(settings: Settings, seconds: float, console: Console) -> None:
    twin = twin_home(settings)
    told = {
        "Snowflake's tables": f"{settings.home / 'snowflake' / DATABASE}.db, a DuckDB file that fakesnow keeps",
        "the lake's objects": f"{LAKE}, kept in {_bucket(settings) / PREFIX}",
        "the runs and logs": str(settings.home),
        "the twin on DuckLake": f"{twin}; look at it with: crp dashboard --home {twin}",
    }
    console.print(f"\n[bold]Everything ran in {seconds:.0f} s. Where it lies:[/]")
    for name, place in told.items():
        console.print(f"  {name:<21} {place}", soft_wrap=True)
    console.print("On accounts it is the same commands with the account's settings: docs/snowflake.md")


def _bucket(settings: Settings) -> Path:
    return settings.home / "s3" / BUCKET
