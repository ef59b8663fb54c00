"""How fast an application becomes a decision over HTTP, beside `mlflow models serve` with the same model.

    python -m bench.api --home data                    everything (make the home first: crp demo --once)
    python -m bench.api --home data --seconds 30 --rate 100 --skip mlflow

Both serve from one process each; the load comes from another. Part by part one after the other, never both at once.

paced        `--rate` single calls a second whatever the answers take; waits count from when a call was due
flat out     8 and 64 connections, each sending when it has its answer: the most there is
batch        1,000 applications a call, one call after the other
batch, busy  the same while a third process sends `--rate` single calls a second

`server cpu` is the CPU time a call takes of the server's processes: it tells the most there could be on a machine
that others use, too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.api.contenders import Contender, copied, cpu_seconds, mlflow_serve, ours
from bench.api.load import Load, flat_out, paced, paced_list
from credit_risk_platform.cli.home import open_home, prepare_home
from credit_risk_platform.cli.processes import Servers
from credit_risk_platform.settings import Settings

CONTENDERS = {"crp": ours, "mlflow": mlflow_serve}
BATCH = 1_000
CONNECTIONS = (8, 64)
WARM_UP_SECONDS = 2.0
GOALS = "goals: p99 < 50 ms at 50 calls a second, flat out >= 5 times the peer, 1,000 applications in < 1,000 ms"


def main() -> None:
    arguments = _parser().parse_args()
    given = open_home(arguments.home)
    if not (given.paths.models / "champion.json").exists():
        sys.exit(f"{given.home} has no champion: make one with `crp demo --once --home {given.home}`")
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with ExitStack() as running:
        contenders = [
            _started(running, given, name, arguments.work.absolute() / name)
            for name in CONTENDERS
            if name not in arguments.skip
        ]
        for contender in contenders:
            flat_out(contender.single, contender.singles, 1, WARM_UP_SECONDS)
            flat_out(contender.batch, contender.batches, 1, WARM_UP_SECONDS)
        rows = measured(contenders, arguments.rate, arguments.seconds)
    print(table(rows))
    print(f"load average after: {os.getloadavg()[0]:.1f}")


def _started(running: ExitStack, given: Settings, name: str, work: Path) -> Contender:
    settings = given.model_copy(update={"home": copied(given.home, work)})
    prepare_home(settings)
    return CONTENDERS[name](settings, running.enter_context(Servers(settings)), BATCH)


def measured(contenders: Sequence[Contender], rate: float, seconds: float) -> list[dict[str, Any]]:
    """Part by part, the contenders in turn: whatever else the machine does meets both."""
    parts: dict[str, Callable[[Contender], Load]] = {
        f"single, {rate:g} a second": lambda one: paced(one.single, one.singles, rate, seconds),
        **{
            f"single, flat out, {many} connections": partial(_flat_out, connections=many, seconds=seconds)
            for many in CONNECTIONS
        },
        f"batch of {BATCH:,}": lambda one: flat_out(one.batch, one.batches, 1, seconds / 2),
    }
    rows = []
    for name, part in parts.items():
        for contender in contenders:
            print(f"{contender.name}: {name} ...", flush=True)
            before = cpu_seconds(contender.process)
            load = part(contender)
            used = cpu_seconds(contender.process) - before
            rows.append(_row(contender.name, name, load, used / len(load.waits) * 1000))
    return rows + [row for contender in contenders for row in _busy(contender, rate, seconds / 2)]


def _flat_out(contender: Contender, connections: int, seconds: float) -> Load:
    return flat_out(contender.single, contender.singles, connections, seconds)


def _busy(contender: Contender, rate: float, seconds: float) -> list[dict[str, Any]]:
    singles = list(islice(contender.singles, int(rate * seconds) + 1))
    with ProcessPoolExecutor(1, get_context("spawn")) as another:
        another.submit(int).result()  # it has started
        asked = another.submit(paced_list, contender.single, singles, rate, seconds)
        batches = flat_out(contender.batch, contender.batches, 1, seconds)
        return [
            _row(contender.name, f"batch of {BATCH:,}, busy", batches),
            _row(contender.name, f"single, {rate:g} a second, beside batches", asked.result()),
        ]


def _row(contender: str, name: str, load: Load, server_cpu: float | None = None) -> dict[str, Any]:
    if load.failed:
        print(f"{contender}, {name}: {dict(load.statuses)}\n  {load.sample[:500]!r}", file=sys.stderr)
    p50, p95, p99 = load.percentiles()
    return {
        "contender": contender, "what": name, "calls": len(load.waits), "failed": load.failed,
        "a second": round(load.per_second, 1), "p50": round(p50, 1), "p95": round(p95, 1), "p99": round(p99, 1),
        "longest": round(max(load.waits), 1), "server cpu": round(server_cpu, 2) if server_cpu is not None else None,
        "client cpu": round(load.cpu_seconds / len(load.waits) * 1e3, 2),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    columns = {"calls": 8, "failed": 8, "a second": 10, "p50": 9, "p95": 9, "p99": 9, "longest": 9}
    columns |= {"server cpu": 12, "client cpu": 12}
    lines = ["", f"{'milliseconds':<64}" + "".join(f"{name:>{width}}" for name, width in columns.items())]
    for row in rows:
        told = {name: "-" if row[name] is None else f"{row[name]:,}" for name in columns}
        cells = "".join(f"{told[name]:>{width}}" for name, width in columns.items())
        lines.append(f"  {row['contender']:<22}{row['what']:<40}{cells}")
    return "\n".join([*lines, "", GOALS, f"raw: {json.dumps(rows)}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=None, help="a home with a champion; it is copied")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each part")
    parser.add_argument("--rate", type=float, default=50.0, help="single calls a second of the paced parts")
    parser.add_argument("--skip", nargs="*", default=[], choices=list(CONTENDERS))
    parser.add_argument("--work", type=Path, default=Path("data/bench/api"), help="folder for the copies and logs")
    return parser


if __name__ == "__main__":
    main()
