"""Run every contender on the same file and print one table with ratios.

    make bench                                   50k, 500k, 5M
    python -m bench.batch --rows 50000 500000    chosen sizes
    python -m bench.batch --full                 10M as well
    python -m bench.batch --skip spark pandas    only floor and platform

Absolute seconds move from machine to machine: quote the ratios, they come from one run.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from bench.batch.measure import Measurement, run

PEERS = {
    "floor": "bench.batch.floor",
    "platform": "bench.batch.platform",
    "pandas": "bench.batch.pandas_peer",
    "spark": "bench.batch.spark_peer",
}


def main() -> None:
    arguments = _parser().parse_args()
    rows = [*arguments.rows, *([10_000_000] if arguments.full else [])]
    results: dict[int, list[Measurement]] = {}
    for count in rows:
        csv = dataset(arguments.work, count)
        results[count] = [
            contender(name, csv, arguments.work / f"{name}-{count}", count)
            for name in PEERS
            if name not in arguments.skip
        ]
        print(table(count, results[count]), flush=True)
    if len(rows) > 1:
        print(growth(results))


def dataset(work: Path, rows: int) -> Path:
    """The synthetic book as CSV text, made once per size and kept."""
    from credit_risk_platform.adapters.sources.synthetic import write_portfolio
    from credit_risk_platform.catalog import SYNTHETIC_AS_OF

    folder = work / f"data-{rows}"
    done = folder / "loans.csv"
    if not done.exists():
        print(f"making {rows:,} loans in {folder} ...", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        made = write_portfolio(folder, loans=rows, seed=7, as_of=SYNTHETIC_AS_OF, with_repayments=False)
        made.loans_csv.rename(done)
    return done


def contender(name: str, csv: Path, folder: Path, rows: int) -> Measurement:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"{rows:>12,} rows  {name} ...", flush=True)
    measured = run(name, [sys.executable, "-m", PEERS[name], str(csv), str(folder)], folder.with_suffix(".log"))
    shutil.rmtree(folder, ignore_errors=True)
    return measured


def table(rows: int, results: list[Measurement]) -> str:
    by_name = {result.name: result for result in results}
    platform = by_name.get("platform")
    lines = [
        f"\n{rows:,} loans" + " " * 8 + "bronze   silver    train    score    total   rows/s   peak GB   vs platform",
    ]
    for result in results:
        land = result.of("bronze", "silver")
        stages = [result.of("bronze"), result.of("silver"), result.of("fetch", "train"), result.of("score")]
        ratio = _ratio(result, platform)
        lines.append(
            f"  {result.name:<10}"
            + "".join(f"{seconds:9.1f}" if seconds else "        -" for seconds in stages)
            + f"{result.seconds:9.1f}{rows / land if land else 0:9,.0f}{result.peak_bytes / 2**30:9.2f}   {ratio}"
        )
    lines.append(f"  raw: {[asdict(result) for result in results]}")
    return "\n".join(lines)


def _ratio(result: Measurement, platform: Measurement | None) -> str:
    if platform is None or result is platform:
        return ""
    own, other = result.of("bronze", "silver"), platform.of("bronze", "silver")
    both = f"bronze+silver {own / other:.2f}x" if other else ""
    return f"{both}, total {result.seconds / platform.seconds:.2f}x" if result.name == "floor" else both


def growth(results: dict[int, list[Measurement]]) -> str:
    sizes = sorted(results)
    lines = ["\ngrowth of total time from one size to the next (rows grow by the factor in brackets)"]
    for smaller, larger in pairwise(sizes):
        before = {result.name: result for result in results[smaller]}
        lines.extend(
            f"  {result.name:<10} {smaller:,} -> {larger:,}: "
            f"{result.seconds / before[result.name].seconds:.2f}x ({larger / smaller:.0f}x)"
            for result in results[larger]
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 500_000, 5_000_000])
    parser.add_argument("--full", action="store_true", help="10 million loans too")
    parser.add_argument("--skip", nargs="*", default=[], choices=list(PEERS))
    parser.add_argument("--work", type=Path, default=Path("data/bench").absolute(), help="folder for files and logs")
    return parser


if __name__ == "__main__":
    main()
