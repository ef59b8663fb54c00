"""`make demo-cloud` from a fresh home: the whole graph on stand-ins for Snowflake and S3, and whether they agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.adapters.warehouse.snowflake import SnowflakeWarehouse
from credit_risk_platform.cli import demo_cloud
from credit_risk_platform.cli.home import open_home
from credit_risk_platform.resources import snowflake_warehouse
from credit_risk_platform.settings import Settings, Target
from tests.cloud.snowflake_server import require_fakesnow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

LOANS = 8_000  # fewer leave a split with too few bad loans, and the platform rightly refuses to train
SECRET = "made-for-this-demo-and-never-shown"
TOKEN_KEY = "the same key in both homes of this test"
SMALL = {
    "CRP_CANDIDATES": json.dumps(["logistic_regression"]),
    "CRP_TUNING_TRIALS": "0",
    "CRP_BOOTSTRAP_SAMPLES": "20",
    "CRP_PII_TOKEN_KEY": TOKEN_KEY,
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.invalid:9092",  # nobody there: streams have tests of their own
    "COLUMNS": "200",
    "NO_COLOR": "1",
}
ELSEWHERE = {
    "SNOWFLAKE_ACCOUNT": "the-account-of-the-user",
    "AWS_PROFILE": "of-the-user",
    "CRP_S3_KMS_KEY_ID": "theirs",
}
"""Must reach nobody."""
COMMAND = f"""
import secrets
secrets.token_urlsafe = lambda *_: {SECRET!r}
from credit_risk_platform.cli.main import app
app()
"""
"""`crp`, but for the secrets that it makes: a test cannot look for those it does not know."""
ONE_SIDED: Mapping[str, str] = {
    "bronze.landing_loans_batches": "what the lake keeps as files, Snowflake keeps as tables",
    "bronze.landing_loans_superseded": "likewise",
    "bronze.loaded_batches": "which batches of the lake Snowflake has taken",
    "monitoring.writer_state": "the lock by which Snowflake's writers take turns",
}
"""Tables that one side lacks, and why."""
APART: Mapping[str, str] = {
    "gold.behaviour_training_set": "each loan is observed in the month that the engine's own hash of it names",
    **dict.fromkeys(
        ("gold.ecl_stage", "gold.ecl_movements", "gold.stress_ecl"),
        "stages follow the PD of the behavioural model, which learnt from that set",
    ),
}
"""Tables that may differ in size, by a tenth at most, and why."""
TABLES = """
    select distinct lower(table_schema || '.' || table_name) as name
    from (
        select table_schema, table_name from information_schema.tables
        union all select table_schema, table_name from information_schema.views
    )
    where lower(table_schema) in ('bronze', 'silver', 'gold', 'models', 'monitoring')
"""


@dataclass(frozen=True)
class Demo:
    """What a demo has left behind: its settings, what it said."""

    settings: Settings
    said: str

    @contextmanager
    def cloud(self) -> Iterator[tuple[SnowflakeWarehouse, Warehouse, Mapping[str, str]]]:
        """Both warehouses opened again, and the settings by which another process reaches the first."""
        with demo_cloud.cloud(self.settings) as reached, ExitStack() as closing:
            chosen: dict[str, Any] = {n.lower(): v for n, v in reached.items() if n.startswith("SNOWFLAKE_")}
            there = snowflake_warehouse(Settings(home=self.settings.home, target=Target.SNOWFLAKE, **chosen))
            beside = Settings(home=demo_cloud.twin_home(self.settings)).lake()
            closing.callback(there.close)
            closing.callback(beside.close)
            yield there, beside, reached

    def parity(self, reached: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """The demo's last step once more."""
        step = demo_cloud.steps(self.settings)[-1]
        return subprocess.run(
            [sys.executable, "-m", "credit_risk_platform.cli.main", *step.arguments],
            env={**demo_cloud.environment(self.settings, step.settings, reached), **SMALL},
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    require_fakesnow()
    home = tmp_path_factory.mktemp("demo") / "home"
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "demo-cloud", "--loans", str(LOANS), "--home", str(home)],
        env={**os.environ, **SMALL, **ELSEWHERE},
        capture_output=True, text=True, check=False, timeout=1_500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return Demo(open_home(home, recall=False, synthetic_loans=LOANS), done.stdout)


def test_every_step_is_said_and_both_warehouses_agree(demo: Demo) -> None:
    parts = [*(f"{number}. {step.title}" for number, step in enumerate(demo_cloud.steps(demo.settings), start=1)),
             "The warehouses agree: ", "Where it lies:", "Both servers are stopped."]  # fmt: skip
    places = [demo.said.find(part) for part in parts]
    assert places == sorted(places)
    assert -1 not in places
    assert f"s3://{demo_cloud.BUCKET}/{demo_cloud.PREFIX}" in demo.said


def test_no_table_of_the_graph_is_on_one_engine_only_or_of_another_size(demo: Demo) -> None:
    """What the marts hold is the parity's affair; here also bronze, models and what rooms wrote."""
    with demo.cloud() as (snowflake, ducklake, _):
        sides = [set(side.query(TABLES)["name"].to_pylist()) for side in (snowflake, ducklake)]
        assert sides[0] ^ sides[1] == ONE_SIDED.keys()
        rows = {table: (snowflake.count(table), ducklake.count(table)) for table in sorted(sides[0] & sides[1])}
    differing = {table: counts for table, counts in rows.items() if counts[0] != counts[1]}
    assert differing.keys() <= APART.keys(), differing
    for table, (there, here) in differing.items():
        assert there == pytest.approx(here, rel=0.1), table
    assert len(rows) > 90


def test_one_flipped_value_is_named_with_table_key_and_column(demo: Demo) -> None:
    with demo.cloud() as (snowflake, _, reached):
        whole = snowflake.query("select * from gold.roll_rates order by all")
        rows = whole.to_pylist()
        rows[0]["loans"] += 1
        snowflake.replace_table("gold.roll_rates", pa.Table.from_pylist(rows, whole.schema))
        done = demo.parity(reached)
        snowflake.replace_table("gold.roll_rates", whole)
    key = " | ".join(str(rows[0][name]) for name in ("period", "last_month", "from_state", "to_state"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert (
        f"gold.roll_rates: {key}: loans is {rows[0]['loans']} in Snowflake and {rows[0]['loans'] - 1} in DuckDB"
        in done.stdout
    )
    assert "1 of " in done.stdout


def test_pages_call_the_bucket_by_its_address(demo: Demo) -> None:
    """No page of the run on S3 leads to a folder of the home for what lies in the bucket."""
    folders = [str(path) for path in (demo.settings.paths.lake, demo.settings.paths.models)]
    shown = list(metadata(demo.settings.home))
    assert [(key, name) for key, name, text in shown if any(folder in text for folder in folders)] == []
    led = {key.split("/")[0] for key, _, text in shown if text.startswith(demo_cloud.LAKE)}
    assert led == {"bronze", "models", "monitoring"}


def metadata(home: Path) -> Iterator[tuple[str, str, str]]:
    """(asset, name, value as text) of what every asset's page shows. Read without the bucket's server."""
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        events = instance.get_latest_materialization_events(instance.get_asset_keys())
    for key, entry in events.items():
        materialised = entry.asset_materialization if entry else None
        for name, value in (materialised.metadata if materialised else {}).items():
            yield key.to_user_string(), name, str(value.value)


def test_no_secret_is_written_anywhere(demo: Demo) -> None:
    """Logs of runs and servers, the event log with all metadata, dbt's and MLflow's files, the bucket."""
    assert SECRET not in demo.said
    files = [file for file in demo.settings.home.rglob("*") if file.is_file()]
    assert {".log", ".db", ".json", ".parquet"} <= {file.suffix for file in files}
    hidden = [secret.encode() for secret in (SECRET, TOKEN_KEY)]
    assert [str(file) for file in files if any(secret in file.read_bytes() for secret in hidden)] == []


def test_no_setting_of_the_user_s_own_accounts_reaches_a_step(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    for step in demo_cloud.steps(demo.settings):
        told = demo_cloud.environment(demo.settings, step.settings, {"SNOWFLAKE_ACCOUNT": "fakesnow"})
        assert not set(ELSEWHERE.values()) & set(told.values())
