"""Where the dbt project is, what its processes are told, and its manifest.

The manifest is *compiled* offline against an empty in-memory catalog, so the definitions, the leakage guard and the
feature SQL know every model's full SQL before anything ran, without credentials and whatever the real target is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from credit_risk_platform.adapters.warehouse.lock import WriterLock

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
DBT = (str(Path(sys.executable).with_name("dbt")),)
KEPT_RUNS = 20

# Both decide what the models say. The first is the stamp by which a manifest tells what it was compiled from: dbt
# copies variables of this prefix into the manifest's metadata.
_STAMP = "DBT_ENV_CUSTOM_ENV_CRP_FINGERPRINT"
_COMPILED_IN = ("CRP_PORTFOLIO_SOURCE", "CRP_PERFORMANCE_WINDOW_MONTHS", "CRP_ALTERNATIVE_DATA")
_SECRETS = frozenset(
    {
        "CRP_PII_TOKEN_KEY", "CRP_CUSTOMER_LINK_KEY", "CRP_PLAID_CLIENT_ID", "CRP_PLAID_SECRET",
        "CRP_PLAID_ACCESS_TOKENS", "CRP_RAZORPAYX_KEY_ID", "CRP_RAZORPAYX_KEY_SECRET", "CRP_RAZORPAYX_ACCOUNT_NUMBER",
        "CRP_CRM_DATABASE_URL", "CRP_CORE_BANKING_DATABASE_URL", "CRP_BUREAU_DATABASE_URL", "CRP_MLFLOW_TRACKING_URL",
        "CRP_KAFKA_SASL_PASSWORD", "CRP_ALERT_SLACK_URL", "CRP_ALERT_PAGERDUTY_KEY", "CRP_ALERT_WEBHOOK_URL",
        "CRP_ALERT_SMTP_PASSWORD", "CRP_SERVING_DATABASE_URL",
    }
)  # fmt: skip
"""Of the platform; dbt has no use for them."""
_SNOWFLAKE_SECRETS = ("SNOWFLAKE_PASSWORD", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE")
"""dbt keeps out of its logs what it is told as DBT_ENV_SECRET_<NAME>, and reads that in profiles.yml only."""
_COMPILE_SECONDS = 300.0

_OFFLINE_PROFILE = """\
{profile}:
  target: offline
  outputs:
    offline:
      {{type: duckdb, path: ":memory:", database: lake, schema: silver, attach: [{{path: ":memory:", alias: lake}}]}}
"""


class DbtProjectError(RuntimeError):
    """The project does not compile; the message carries dbt's own words."""


@dataclass(frozen=True)
class DbtWorkspace:
    """One dbt project on one home. `home` takes everything dbt writes, so the source tree stays clean."""

    home: Path
    warehouse_root: Path
    environment: Mapping[str, str]
    source: Path = DBT_PROJECT

    @property
    def manifest_file(self) -> Path:
        return self.home / "manifest.json"

    def ensure_manifest(self) -> Path:
        """The compiled manifest, made anew when a project file, dbt or the portfolio changed since it was made.

        Milliseconds when fresh, about four seconds when not. Of several processes one compiles and the others wait.
        Raises `DbtProjectError` with dbt's message.
        """
        stamp = self.fingerprint()
        if not self._is_fresh(stamp):
            with WriterLock(self.home / "manifest.lock", timeout_seconds=_COMPILE_SECONDS).held():
                if not self._is_fresh(stamp):
                    self._compile(stamp)
        return self.manifest_file

    def manifest(self) -> dict[str, Any]:
        """The compiled manifest as dbt's own structure (schema v12)."""
        return dict(json.loads(self.ensure_manifest().read_bytes()))

    def fingerprint(self) -> str:
        """SHA-256 over every project file and whatever else decides the compiled SQL."""
        digest = hashlib.sha256(version("dbt-core").encode() + version("dbt-duckdb").encode())
        for name in _COMPILED_IN:
            digest.update(f"\0{name}={self.environment.get(name, '')}".encode())
        for file in _project_files(self.source):
            digest.update(f"\0{file.relative_to(self.source)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def process_environment(self) -> dict[str, str]:
        """What a dbt process is told; no key of the platform that it has no use for."""
        told = dict(self.environment)
        given = {name: (told.pop(f"CRP_{name}", None), told.pop(name, None)) for name in _SNOWFLAKE_SECRETS}
        hidden = {f"DBT_ENV_SECRET_{name}": ours or theirs for name, (ours, theirs) in given.items()}
        inherited = {name: value for name, value in told.items() if name not in _SECRETS}
        return {
            **inherited,
            **({name: value for name, value in hidden.items() if value} if self._on_snowflake else {}),
            "CRP_WAREHOUSE_ROOT": str(self.warehouse_root),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_PROJECT_DIR": str(self.source),
        }

    def run_folder(self, name: str) -> Path:
        """A fresh target folder for one dbt process, seeded for partial parsing; old ones are removed."""
        (self.home / "runs").mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.home / "runs"))
        if self._parsed.exists():
            shutil.copyfile(self._parsed, folder / self._parsed.name)
        runs = sorted(self.home.glob("runs/*"), key=lambda run: run.stat().st_mtime_ns)
        for old in runs[:-KEPT_RUNS]:
            shutil.rmtree(old, ignore_errors=True)
        return folder

    def keep_parsed(self, run_folder: Path) -> None:
        """Lets the next run start from what this one parsed."""
        parsed = run_folder / self._parsed.name
        if parsed.exists():
            _copy_over(parsed, self._parsed)

    # ---------------------------------------------------------------- inside

    @property
    def _on_snowflake(self) -> bool:
        return self.environment.get("CRP_TARGET") == "snowflake"

    @property
    def _parsed(self) -> Path:
        return self.home / "partial_parse.msgpack"

    def _is_fresh(self, stamp: str) -> bool:
        return self.manifest_file.exists() and stamp.encode() in self.manifest_file.read_bytes()

    def _compile(self, stamp: str) -> None:
        with tempfile.TemporaryDirectory(prefix="compile-", dir=self.home) as folder:
            (Path(folder) / "profiles.yml").write_text(_OFFLINE_PROFILE.format(profile=_profile_name(self.source)))
            command = [*DBT, "compile", "--no-populate-cache", "--select", "resource_type:model"]
            places = ["--profiles-dir", folder, "--target-path", folder, "--log-path", folder]
            result = subprocess.run(
                [*command, *places],
                cwd=self.source,
                env={**self.process_environment(), "CRP_TARGET": "offline", _STAMP: stamp},
                capture_output=True,
                text=True,
                timeout=_COMPILE_SECONDS,
                check=False,
            )
            if result.returncode != 0:
                raise DbtProjectError(
                    f"dbt cannot compile {self.source}; mend the model it names and try again.\n"
                    f"{result.stdout}{result.stderr}"
                )
            _copy_over(Path(folder) / "manifest.json", self.manifest_file)


def _project_files(source: Path) -> list[Path]:
    """Every file of the project in a fixed order, without what a stray dbt call may have left in the tree."""
    left_by_dbt = {"target", "logs", "dbt_packages"}
    found = (Path(folder) / name for folder, _, names in os.walk(source) for name in names)
    files = (file for file in found if file.relative_to(source).parts[0] not in left_by_dbt)
    return sorted(file for file in files if not file.name.startswith("."))


def _profile_name(source: Path) -> str:
    import yaml

    return str(yaml.safe_load((source / "dbt_project.yml").read_text())["profile"])


def _copy_over(source: Path, target: Path) -> None:
    aside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    shutil.copyfile(source, aside)
    aside.replace(target)
