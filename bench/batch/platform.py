"""The platform on the same CSV: the real jobs, through Dagster, dbt, DuckLake, MLflow, checks and ledger.

    python -m bench.batch.platform loans.csv home
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from bench.batch.measure import stages

STAGES = {
    "bronze": "bronze",
    "silver": "silver",
    "gold": "silver",
    "training_set": "train",
    "models": "train",
    "portfolio_scores": "score",
    "score_ledger": "score",
}


def main(csv: Path, home: Path) -> None:
    clock = stages()
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster").mkdir(exist_ok=True)
    os.environ |= {"DAGSTER_HOME": str(home / "dagster"), "DO_NOT_TRACK": "true"}
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")

    import dagster as dg

    from credit_risk_platform.definitions import build_definitions
    from credit_risk_platform.settings import PortfolioSource, Settings

    settings = Settings(
        home=home,
        portfolio_source=PortfolioSource.LANDING,
        candidates=("logistic_regression", "xgboost"),
        tuning_trials=0,
        training_sample_rows=50_000_000,
    )
    settings.paths.landing.mkdir(parents=True, exist_ok=True)
    os.link(csv, settings.paths.landing / csv.name)
    clock("imports")
    instance = dg.DagsterInstance.get()
    job = build_definitions(settings).resolve_job_def("full_pipeline")
    clock("definitions")
    result = job.execute_in_process(instance=instance, partition_key=_as_of(csv).isoformat(), run_config=CONFIG)
    report(instance.get_run_step_stats(result.run_id))


CONFIG: dict[str, object] = {}


def _as_of(csv: Path) -> date:
    from credit_risk_platform.catalog import SYNTHETIC_AS_OF

    return SYNTHETIC_AS_OF


def report(steps: Iterable[object]) -> None:
    """One mark per step, summed by stage; the orchestrator's own time is what the stages do not explain."""
    import json

    from bench.batch.measure import MARK

    for step in steps:
        seconds = (step.end_time or 0) - (step.start_time or 0)  # type: ignore[attr-defined]
        name = step.step_key  # type: ignore[attr-defined]
        stage = next((stage for prefix, stage in STAGES.items() if prefix in name), "other")
        print(MARK + json.dumps({"stage": stage, "seconds": round(seconds, 3)}), flush=True)
        print(f"  {name}: {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
