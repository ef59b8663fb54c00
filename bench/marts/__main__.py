"""How long the marts take on a book of millions: silver, gold and the risk marts, built by the platform's own steps.

    python -m bench.marts                       5M synthetic loans with every repayment (about 20 rows a loan)
    python -m bench.marts --loans 500000

The book is made from the seed and landed by the ingestion room. Then `marts` and `risk_marts` run as in `full_pipeline`
and `portfolio_risk`: dbt, its data tests, row counts and lineage for the UI. What stands between them, scores and
decisions, is made with SQL, one score per loan: models are not what is measured here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from credit_risk_platform.adapters import origination_scores, outside_tables
from credit_risk_platform.adapters.ledger import SCORES
from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import SYNTHETIC_AS_OF, Bronze, table_of
from credit_risk_platform.definitions import build_definitions
from credit_risk_platform.settings import PROJECT_ROOT, Settings

LANDED = (Bronze.SYNTHETIC_LOANS, Bronze.SYNTHETIC_REPAYMENTS, Bronze.LENDING_CLUB_LOANS, Bronze.LANDING_LOANS,
          Bronze.MACRO_SERIES)  # fmt: skip
SLOWEST = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loans", type=int, default=5_000_000)
    parser.add_argument("--work", type=Path, default=PROJECT_ROOT / "data" / "bench" / "marts")
    arguments = parser.parse_args()
    home = arguments.work.absolute()
    shutil.rmtree(home, ignore_errors=True)
    (home / "dagster").mkdir(parents=True)
    os.environ |= {"DAGSTER_HOME": str(home / "dagster"), "DO_NOT_TRACK": "true"}
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    bench = Bench(Settings(home=home, synthetic_loans=arguments.loans))
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    bench.step("landing", "full_pipeline", LANDED)
    bench.step("marts", "full_pipeline", bench.keys("marts"))
    with timed("scores by SQL"):
        fill_scores(bench.warehouse)
    bench.step("risk_marts", "portfolio_risk", bench.keys("risk_marts"))
    print(f"load average after: {os.getloadavg()[0]:.1f}")
    bench.report()
    shutil.rmtree(home)


class Bench:
    """One home, its graph, and what its steps took."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.warehouse = DuckLakeWarehouse(settings.paths.warehouse)
        self.definitions = build_definitions(settings)
        self.seconds: dict[str, float] = {}

    def keys(self, step: str) -> list[dg.AssetKey]:
        """The assets that one dbt step makes."""
        assets = (one for one in self.definitions.assets or () if isinstance(one, dg.AssetsDefinition))
        return next(sorted(one.keys) for one in assets if one.is_executable and one.op.name == step)

    def step(self, name: str, job: str, keys: Sequence[dg.AssetKey]) -> None:
        found = self.definitions.resolve_job_def(job)
        with timed(name), most_memory() as peak:
            result = found.execute_in_process(
                instance=dg.DagsterInstance.get(),
                partition_key=SYNTHETIC_AS_OF.isoformat() if found.partitions_def else None,
                asset_selection=list(keys),
            )
        steps = dg.DagsterInstance.get().get_run_step_stats(result.run_id)
        self.seconds[name] = sum((one.end_time or 0) - (one.start_time or 0) for one in steps)
        print(f"  {name}: steps {self.seconds[name]:.0f} s, most memory {peak[0] / 1e9:.1f} GB", flush=True)

    def report(self) -> None:
        for key in (Bronze.SYNTHETIC_LOANS, Bronze.SYNTHETIC_REPAYMENTS):
            print(f"{table_of(key)}: {self.warehouse.count(table_of(key)):,} rows")
        runs = self.settings.paths.dbt.glob("runs/*/run_results.json")
        for file in sorted(runs, key=lambda file: file.stat().st_mtime):
            results = json.loads(file.read_text())["results"]
            taken = {kind: sum(_seconds(one, kind) for one in results) for kind in ("model", "test", "seed")}
            print(f"\n{len(results)} nodes: " + ", ".join(f"{kind}s {spent:.0f} s" for kind, spent in taken.items()))
            for one in sorted(results, key=lambda one: -one["execution_time"])[:SLOWEST]:
                print(f"  {one['execution_time']:8.1f} s  {one['unique_id']}")


def fill_scores(warehouse: DuckLakeWarehouse) -> None:
    """One score at application and one of the book's last day per loan, spread over the bands, never at random."""
    outside_tables.ensure(warehouse)
    pd = "0.01 + 0.4 * pow(hash(loan_id) / 18446744073709551615.0, 3)"
    scored = f"""
        select date '{SYNTHETIC_AS_OF}' as as_of, loan_id, loan_id as subject_token, sha256(loan_id) as score_id,
            {pd} as pd, 800 - 600 * pd as points, {_BAND} as band, {_DECISION} as decision,
            'made by bench' as model_name, 'b' as bundle_sha, 'v1' as policy_version
        from bronze.synthetic_loans
    """
    original = f"""
        select loan_id, {pd} as pd, 800 - 600 * pd as points, {_BAND} as risk_band, {_DECISION} as decision,
            'b' as bundle_sha, 'v1' as policy_version
        from bronze.synthetic_loans
    """
    warehouse.replace(SCORES, Select(scored), "true")
    warehouse.replace(origination_scores.TABLE, Select(original), "true")


_BAND = "case when pd < 0.03 then 'Low' when pd < 0.12 then 'Medium' when pd < 0.25 then 'High' else 'Very High' end"
_DECISION = "case when pd < 0.12 then 'approve' when pd < 0.25 then 'refer' else 'decline' end"


def _seconds(result: dict[str, Any], kind: str) -> float:
    return float(result["execution_time"]) if result["unique_id"].startswith(f"{kind}.") else 0.0


@contextmanager
def timed(name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """The most this process and its children held at a time, looked at twice a second."""
    import psutil

    peak, over = [0], threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not over.wait(0.5):
            held = me.memory_info().rss
            for child in me.children(recursive=True):
                try:
                    held += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak[0] = max(peak[0], held)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


if __name__ == "__main__":
    main()
