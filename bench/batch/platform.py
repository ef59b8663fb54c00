"""The platform on the same CSV: the real jobs, through Dagster, dbt, DuckLake, MLflow, checks and ledger.

python -m bench.batch.platform loans.csv home
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import dagster as dg

from bench.batch.measure import MARK, stages
from credit_risk_platform.catalog import SYNTHETIC_AS_OF, Bronze, Gold

STAGES = {
    "bronze": ("bronze__landing_loans", "bronze__macro_series"),
    "silver": ("marts", "mart_guards"),
    "train": ("gold__training_set", "models__"),
    "score": ("portfolio_scores",),
}
"""What the contenders share. Left out: making the synthetic book, the published copy, drift reports."""


def main(csv: Path, home: Path) -> None:
    clock = stages()
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster").mkdir(exist_ok=True)
    os.environ |= {"DAGSTER_HOME": str(home / "dagster"), "DO_NOT_TRACK": "true", "OMP_WAIT_POLICY": "passive"}
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")

    from credit_risk_platform.definitions import build_definitions
    from credit_risk_platform.settings import PortfolioSource, Settings

    settings = Settings(
        home=home,
        portfolio_source=PortfolioSource.LANDING,
        candidates=("logistic_regression", "xgboost"),
        tuning_trials=0,
        bootstrap_samples=20,
    )
    settings.paths.landing.mkdir(parents=True, exist_ok=True)
    os.link(csv, settings.paths.landing / csv.name)
    clock("imports")
    instance = dg.DagsterInstance.get()
    job = build_definitions(settings).resolve_job_def("full_pipeline")
    clock("definitions")
    result = job.execute_in_process(
        instance=instance, partition_key=_as_of().isoformat(), asset_selection=selection(job), raise_on_error=False
    )
    report(instance.get_run_step_stats(result.run_id))
    if not result.success:
        sys.exit("the run failed; see the log")


def selection(job: dg.JobDefinition) -> list[dg.AssetKey]:
    """Every asset the contenders' work needs."""
    left_out = {Bronze.SYNTHETIC_LOANS, Bronze.SYNTHETIC_REPAYMENTS, Bronze.LENDING_CLUB_LOANS, Gold.PUBLISHED_MARTS}
    keys = job.asset_layer.executable_asset_keys
    return [key for key in keys if key not in left_out and key.path[0] != "monitoring"]


def _as_of() -> date:
    return SYNTHETIC_AS_OF


def report(steps: Iterable[object]) -> None:
    """One mark per step, summed by stage; the orchestrator's own time is what the stages do not explain."""
    for step in steps:
        seconds = (step.end_time or 0) - (step.start_time or 0)  # type: ignore[attr-defined]
        name = step.step_key  # type: ignore[attr-defined]
        stage = next((stage for stage, steps in STAGES.items() if name.startswith(steps)), "other")
        print(MARK + json.dumps({"stage": stage, "seconds": round(seconds, 3)}), flush=True)
        print(f"  {name}: {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
