"""What watching for drift costs: Evidently's reports at 500k scored applications, and PSI in the warehouse at 5M loans.

    python -m bench.drift                       everything, on a lake made by SQL (5M loans take a minute to make)
    python -m bench.drift --loans 500000 --skip "Evidently, all"

Every part is the platform's own code in a process of its own, on the same lake; a tenth of the loans is new.

PSI in the warehouse   every feature and the PD, new applications and whole portfolio, over fixed bins
Evidently, sampled     both reports as the assets make them: at most 50,000 rows a side, drawn by hash
Evidently, all         the same on all new applications against as many of the training set
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.batch.measure import MARK, Measurement, run, stages

FIRST_TIME, FEATURES, PREDICTIONS, CPU = "reference", "features", "predictions", "CPU"


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.part:
        STEPS[arguments.part](arguments.work, arguments.loans)
        print(MARK + json.dumps({"stage": CPU, "seconds": time.process_time()}))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    found = [_measured(name, arguments.work, arguments.loans) for name in STEPS if name not in arguments.skip]
    print(table(found[1:], arguments.loans))
    print(f"load average after: {os.getloadavg()[0]:.1f}")


def make_lake(work: Path, loans: int) -> None:
    from bench.drift.lake import make

    make(work, loans)


def in_warehouse(work: Path, _loans: int) -> None:
    clock = stages()
    from bench.drift.lake import AS_OF, opened
    from credit_risk_platform.adapters.drift_reference import reference_of
    from credit_risk_platform.adapters.drift_report import feature_drift, score_drift

    warehouse, bundle, _ = opened(work)
    clock("imports")
    reference = reference_of(warehouse, bundle)
    clock(FIRST_TIME)
    feature_drift(warehouse, reference, AS_OF)
    clock(FEATURES)
    score_drift(warehouse, reference, AS_OF)
    clock(PREDICTIONS)


def sampled(work: Path, _loans: int) -> None:
    from credit_risk_platform.adapters.drift_samples import SAMPLE_ROWS

    _evidently(work, SAMPLE_ROWS)


def everybody(work: Path, loans: int) -> None:
    _evidently(work, loans)


def _evidently(work: Path, limit: int) -> None:
    clock = stages()
    from bench.drift.lake import AS_OF, opened
    from credit_risk_platform.adapters.drift_comparison import feature_report, prediction_report
    from credit_risk_platform.adapters.drift_samples import Part, pinned

    warehouse, bundle, policy = opened(work)
    bundle = replace(bundle, seed=limit)  # a bundle of its own, as a reference is drawn once
    clock("imports")
    for part in Part:
        pinned(warehouse, bundle, part, limit)
    clock(FIRST_TIME)
    features = feature_report(warehouse, bundle, AS_OF, limit)
    clock(FEATURES)
    predictions = prediction_report(warehouse, bundle, policy, AS_OF, limit)
    clock(PREDICTIONS)
    for report in (features, predictions):
        assert report.comparison is not None
        print(f"{report.name}: {report.day.rows.num_rows:,} of {report.day.loans:,} loans against "
              f"{report.reference.rows.num_rows:,}, page of {len(report.comparison.page) / 1e6:.1f} MB")  # fmt: skip


LAKE = "lake"
PARTS: dict[str, Callable[[Path, int], None]] = {
    "PSI in the warehouse": in_warehouse,
    "Evidently, sampled": sampled,
    "Evidently, all": everybody,
}
STEPS = {LAKE: make_lake, **PARTS}


def _measured(name: str, work: Path, loans: int) -> Measurement:
    print(f"{name} ...", flush=True)
    log = work / f"{name.replace(' ', '_').replace(',', '')}.log"
    command = [sys.executable, "-m", "bench.drift", "--work", str(work), "--loans", str(loans), "--part", name]
    return run(name, command, log, {**os.environ, "DO_NOT_TRACK": "true"})


def table(found: list[Measurement], loans: int) -> str:
    columns = (FIRST_TIME, FEATURES, PREDICTIONS)
    lines = [
        "",
        f"{f'seconds, {loans:,} loans':<28}" + "".join(f"{name:>13}" for name in (*columns, "total", "peak GB")),
    ]
    for one in found:
        cells = [f"{one.of(name):.1f}" for name in columns]
        cells += [f"{one.seconds:.1f}", f"{one.of(CPU):.1f}", f"{one.peak_bytes / 1e9:.1f}"]
        lines.append(f"  {one.name:<26}" + "".join(f"{cell:>13}" for cell in cells))
    lines.append("reference: once per champion; total: with imports (Evidently's own are in its features)")
    lines.append("CPU: seconds of all threads, which others at work on the machine change least")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loans", type=int, default=5_000_000, help="loans in the lake; a tenth of them is new")
    parser.add_argument("--work", type=Path, default=Path("data/bench/drift"), help="folder for the lake and the logs")
    parser.add_argument("--skip", nargs="*", default=[], choices=list(PARTS))
    parser.add_argument("--part", choices=list(STEPS), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
