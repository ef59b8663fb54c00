"""What a micro-batch came to, put together from the transactions it took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters.streaming import sink
from credit_risk_platform.adapters.streaming.batch import BatchReport, OffsetRange, Outcome
from credit_risk_platform.adapters.warehouse.base import Warehouse

Lag = Callable[[], int]


@dataclass(frozen=True)
class Part:
    """One committed transaction."""

    records: pa.Table
    dead: pa.Table
    written: sink.Written
    bundle_sha: str | None
    committed: float


def report(
    warehouse: Warehouse,
    topic: str,
    topic_id: str,
    records: pa.Table,
    ranges: Sequence[OffsetRange],
    done: Sequence[OffsetRange],
    parts: Sequence[Part],
    lag: Lag,
    started: float,
) -> BatchReport:
    rows: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    waits: list[pa.Array] = []
    for part in parts:
        rows.update(part.written.rows)
        reasons.update(part.dead["reason"].to_pylist())
        sent = part.records["kafka_time"].cast(pa.int64())
        waits.append(pc.divide(pc.subtract(int(part.committed * 1e6), sent), 1000.0))
    waited = pa.chunked_array(waits, pa.float64())
    p50, p95, longest = pc.quantile(waited, [0.5, 0.95, 1.0]).to_pylist()
    outcomes, examples = _outcomes(warehouse, topic_id, done, parts)
    return BatchReport(
        topic=topic,
        ranges=tuple(ranges),
        messages=records.num_rows + outcomes.get(Outcome.LOST, 0),
        outcomes=outcomes,
        rows=dict(rows),
        reasons=dict(reasons),
        lag=lag(),
        seconds=time.perf_counter() - started,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        latency_max_ms=longest,
        latencies_ms=waited.to_numpy(),
        bundle_sha=next((part.bundle_sha for part in parts if part.bundle_sha), None),
        already_done=not parts,
        examples={name: ", ".join(shown[: sink.EXAMPLES]) for name, shown in examples.items()},
    )


def _outcomes(
    warehouse: Warehouse, topic_id: str, done: Sequence[OffsetRange], parts: Sequence[Part]
) -> tuple[dict[Outcome, int], dict[str, list[str]]]:
    """Messages and a few examples of each outcome: of what was written now and of what an earlier run had written."""
    told = [part.written.outcomes for part in parts]
    if done:
        told.append(sink.outcomes(warehouse, topic_id, done))
    counts: Counter[Outcome] = Counter()
    examples: dict[str, list[str]] = {}
    for row in (row for table in told for row in table.to_pylist()):
        counts[Outcome(row["outcome"])] += row["n"]
        examples.setdefault(row["outcome"], []).extend(text for text in row["examples"] if text)
    return dict(counts), examples
