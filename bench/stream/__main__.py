"""How fast an event becomes a score, and how many a second: on a real broker, on a copy of a home with a champion.

    python -m bench.stream --home data                      everything (make the home first: crp demo --once)
    python -m bench.stream --home data --events 20000 --rate 1000 --seconds 60
    python -m bench.stream --home data --skip sensor consumers

backlog     events that wait, taken by the fast lane until none is left
steady      `--rate` events a second for `--seconds`, and how long the fast lane needs to be level afterwards
fast_lane   10 events a second through `crp stream`'s engine: from Kafka's time stamp to the commit of the score
sensor      the same through daemon, sensor and one run per batch
consumers   reading alone: kafka-python against confluent-kafka (librdkafka; a bench-only dependency)
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from credit_risk_platform.adapters.kafka_broker import KafkaBroker
from credit_risk_platform.adapters.streaming.batch import BatchReport
from credit_risk_platform.adapters.streaming.fast_lane import FastLane, Summary
from credit_risk_platform.cli.home import open_home, prepare_home
from credit_risk_platform.cli.processes import Servers, free_port, until_ready
from credit_risk_platform.cli.serving import CODE_SERVERS
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.resources import build_streaming_resources
from credit_risk_platform.settings import PROJECT_ROOT, Settings

TOPIC = APPLICATIONS.topic
PARTS = ("backlog", "steady", "fast_lane", "sensor", "consumers")
SLOW_RATE = 10
WARM_UP = 50
PATIENCE_SECONDS = 120.0
_COMMITTED = """
    select epoch_ms(made.snapshot_time) - epoch_ms(trace.kafka_time) as waited
    from ducklake_table_insertions('lake', 'gold', 'message_trace', ?, ?) as trace
    join ducklake_snapshots('lake') as made using (snapshot_id)
"""


def main() -> None:
    arguments = _parser().parse_args()
    parts = [part for part in PARTS if part not in arguments.skip]
    with bench_home(arguments) as settings:
        rows = []
        for number, part in enumerate(parts):
            print(f"{part} ...", flush=True)
            rows += MEASURED[part](settings, arguments, number)
        print(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"\n{'':<34}{'events':>9}{'events/s':>10}{'p50 ms':>9}{'p95 ms':>9}{'max ms':>9}   note"]
    for row in rows:
        cells = "".join(_cell(row.get(name), width) for name, width in zip(_COLUMNS, (9, 10, 9, 9, 9), strict=True))
        lines.append(f"  {row['name']:<32}{cells}   {row.get('note', '')}")
    lines.append(f"  raw: {json.dumps(rows)}")
    return "\n".join(lines)


_COLUMNS = ("events", "per_second", "p50", "p95", "longest")


def _cell(value: float | None, width: int) -> str:
    return f"{value:{width},.0f}" if value is not None else " " * (width - 1) + "-"


# ---------------------------------------------------------------- where


@contextmanager
def bench_home(arguments: argparse.Namespace) -> Iterator[Settings]:
    """A copy of the home, so that no score of ours gets into its ledger, and a broker of its own."""
    given = open_home(arguments.home)
    if not (given.paths.models / "champion.json").exists():
        sys.exit(f"{given.home} has no champion: make one with `crp demo --once --home {given.home}`")
    home = arguments.work.absolute() / "home"
    shutil.rmtree(home.parent, ignore_errors=True)
    for folder in (given.paths.warehouse, given.paths.models, given.paths.secrets):
        if folder.exists():
            shutil.copytree(folder, home / folder.relative_to(given.home))
    with closing(sqlite3.connect(home / "warehouse" / "catalog.sqlite")) as catalog, catalog:
        place = f"{home / 'warehouse' / 'data'}/"
        catalog.execute("update ducklake_metadata set value = ? where key = 'data_path'", [place])
    port = free_port(given.host, 19_092)
    broker = KafkaBroker(home.parent / "kafka", given.host, port, cache=given.paths.kafka)
    # What this process started is started for the copy: nothing here may reach the cluster of the home.
    settings = given.model_copy(
        update={
            "home": home,
            "kafka_bootstrap_servers": broker.bootstrap,
            "kafka_group": f"bench-{uuid.uuid4().hex[:8]}",
            "automation_running": True,
        }
    )
    prepare_home(settings)
    broker.up()
    try:
        yield settings
    finally:
        broker.down()


def events(settings: Settings, count: int, seed: int, rate: float | None = None) -> subprocess.Popen[bytes]:
    """`count` fresh applications from a process of its own."""
    command = f"produce --topic {TOPIC} --rate {rate or 0} --max {count} --seed {seed} --json".split()
    return subprocess.Popen(
        [sys.executable, "-m", "credit_risk_platform.cli.main", *command, "--home", str(settings.home)],
        env=settings.environment(), cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip


class Lane:
    """The fast lane in this process, watched batch by batch."""

    def __init__(self, settings: Settings) -> None:
        resources = build_streaming_resources(settings)
        self.streams, self.warehouse = resources["streams"], resources["warehouse"]
        self.batch = settings.stream_batch_messages
        self.taken, self.most_behind, self.last = 0, 0, 0.0
        self._waited: list[np.ndarray] = []

    def run(self, messages: int) -> Summary:
        """Until it has taken so many."""
        return self._lane().run(PATIENCE_SECONDS * 5, lambda: self.taken >= messages)

    def waits(self) -> np.ndarray:
        return np.concatenate(self._waited)

    def close(self) -> None:
        self.streams.close()
        self.warehouse.close()

    def _lane(self) -> FastLane:
        from credit_risk_platform.adapters.code_version import code_hash, git_commit
        from credit_risk_platform.adapters.ledger_writer import Stamp

        stamp = Stamp(_now(), f"bench-{uuid.uuid4()}", "[]", git_commit(), code_hash())
        return FastLane(
            self.streams, TOPIC, stamp, _now, batch_messages=self.batch, on_batch=self._seen, merge=self.warehouse.merge
        )

    def _seen(self, report: BatchReport) -> None:
        self.taken += report.messages
        self.most_behind = max(self.most_behind, report.lag)
        self.last = time.perf_counter()
        self._waited.append(np.asarray(report.latencies_ms))


@contextmanager
def lane_of(settings: Settings, seed: int) -> Iterator[Lane]:
    """A lane whose first batch, which plans every statement, is behind it."""
    lane = Lane(settings)
    try:
        events(settings, WARM_UP, seed).wait()
        lane.run(WARM_UP)
        lane.taken, lane.most_behind, lane._waited = 0, 0, []
        yield lane
    finally:
        lane.close()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


# ---------------------------------------------------------------- what


def backlog(settings: Settings, arguments: argparse.Namespace, number: int) -> list[dict[str, Any]]:
    with lane_of(settings, 1_000 + number) as lane:
        events(settings, arguments.events, 2_000 + number).wait()
        started = time.perf_counter()
        lane.run(arguments.events)
        seconds = lane.last - started
    note = f"{seconds:.1f} s to lag 0, joining the group included"
    return [_row("fast lane, a backlog", arguments.events, note, per_second=arguments.events / seconds)]


def steady(settings: Settings, arguments: argparse.Namespace, number: int) -> list[dict[str, Any]]:
    count = int(arguments.rate * arguments.seconds)
    with lane_of(settings, 1_000 + number) as lane:
        producer = events(settings, count, 2_000 + number, arguments.rate)
        ended: list[float] = []
        threading.Thread(target=lambda: (producer.wait(), ended.append(time.perf_counter()))).start()
        lane.run(count)
        after = lane.last - (ended[0] if ended else lane.last)
        note = f"at most {lane.most_behind:,} behind, level {max(after, 0):.1f} s after the last event"
        name = f"fast lane, {arguments.rate:,.0f} a second"
        return [_row(name, count, note, waits=lane.waits(), per_second=arguments.rate)]


def fast_lane(settings: Settings, arguments: argparse.Namespace, number: int) -> list[dict[str, Any]]:
    count = int(SLOW_RATE * arguments.seconds)
    with lane_of(settings, 1_000 + number) as lane:
        events(settings, count, 2_000 + number, SLOW_RATE)
        lane.run(count)
        return [_row(f"fast lane, {SLOW_RATE} a second", count, waits=lane.waits(), per_second=SLOW_RATE)]


def sensor(settings: Settings, arguments: argparse.Namespace, number: int) -> list[dict[str, Any]]:
    """The daemon and the code server of the streaming location, as `crp demo` starts them."""
    import dagster as dg

    from credit_risk_platform.cli.probes import listens

    count = int(SLOW_RATE * arguments.seconds)
    warehouse = build_streaming_resources(settings)["warehouse"]
    with dg.DagsterInstance.from_config(str(settings.paths.dagster)):  # makes its tables before three processes do
        pass
    port = free_port(settings.host, 4_366)
    workspace = settings.paths.dagster / "workspace.yaml"
    where = f"{{host: {settings.host}, port: {port}, location_name: streaming}}"
    workspace.write_text(f"load_from:\n  - grpc_server: {where}\n")
    with Servers(settings) as servers:
        code = servers.start("code", *f"{CODE_SERVERS['streaming']} -h {settings.host} -p {port}".split())
        until_ready(code, lambda: listens(settings.host, port))
        servers.start("daemon", "dagster._daemon", "run", "-w", str(workspace))
        before = _traced(warehouse)
        events(settings, WARM_UP, 1_000 + number).wait()
        _until(lambda: _traced(warehouse) == before + WARM_UP)
        first = int(warehouse.snapshot()) + 1
        events(settings, count, 2_000 + number, SLOW_RATE).wait()
        _until(lambda: _traced(warehouse) == before + WARM_UP + count)
        waits = warehouse.query(_COMMITTED, [first, int(warehouse.snapshot())])["waited"].to_numpy()
    warehouse.close()
    return [_row(f"sensor and runs, {SLOW_RATE} a second", count, waits=waits, per_second=SLOW_RATE)]


def consumers(settings: Settings, arguments: argparse.Namespace, number: int) -> list[dict[str, Any]]:
    """Both read the same messages, each in a process of its own; the best of three."""
    events(settings, arguments.events, 2_000 + number).wait()
    rows = []
    for name in ("kafka-python", "confluent-kafka"):
        command = [sys.executable, "-m", "bench.stream.consumers", name, settings.kafka_bootstrap_servers, TOPIC]
        found = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        if found.returncode:
            note = found.stderr.strip().splitlines()[-1]
            rows.append({"name": f"{name}, reading alone", "note": note})
            continue
        told = json.loads(found.stdout)
        note = f"{told['cpu_us']:.0f} us of CPU a message"
        rows.append(_row(f"{name}, reading alone", told["messages"], note, per_second=told["per_second"]))
    return rows


MEASURED = {
    "backlog": backlog,
    "steady": steady,
    "fast_lane": fast_lane,
    "sensor": sensor,
    "consumers": consumers,
}


def _row(
    name: str, count: int, note: str = "", *, per_second: float, waits: np.ndarray | None = None
) -> dict[str, Any]:
    row = {"name": name, "events": count, "per_second": round(float(per_second), 1), "note": note}
    if waits is not None:
        found = np.quantile(np.asarray(waits, dtype=float), [0.5, 0.95, 1.0]).round(1).tolist()
        row |= dict(zip(("p50", "p95", "longest"), found, strict=True))
    return row


def _traced(warehouse: Any) -> int:
    return int(warehouse.count("gold.message_trace")) if warehouse.exists("gold.message_trace") else 0


def _until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("the events were not taken; see the logs in the bench's home")
        time.sleep(0.25)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=None, help="a home with marts and a champion; it is copied")
    parser.add_argument("--events", type=int, default=20_000, help="events of the backlog, and for the consumers")
    parser.add_argument("--rate", type=float, default=1_000.0, help="events a second of the steady part")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the paced parts")
    parser.add_argument("--skip", nargs="*", default=[], choices=list(PARTS))
    parser.add_argument("--work", type=Path, default=Path("data/bench/stream"), help="folder for the copy and logs")
    return parser


if __name__ == "__main__":
    main()
