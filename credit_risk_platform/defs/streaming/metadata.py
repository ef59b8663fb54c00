"""What the asset page tells of a micro-batch: what came, what became of it, how fast, and what to click on next."""

import re
from collections.abc import Mapping
from typing import Any

import dagster as dg

from credit_risk_platform.adapters.streaming.batch import BatchReport, Outcome
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import table_of
from credit_risk_platform.defs.streaming.requests import range_text

_SCORE_ID = re.compile(r"[0-9a-f]{32}")


def batch_metadata(report: BatchReport, topic_id: str, attempt: int) -> dict[str, Any]:
    """What is true of the whole batch; on every asset that it wrote."""
    outcomes = report.outcomes
    return {
        "topic": report.topic,
        "offsets": range_text(topic_id, report.ranges),
        "attempt": attempt,
        "messages": report.messages,
        "dead_letters": outcomes.get(Outcome.DEAD_LETTER, 0),
        "duplicates": outcomes.get(Outcome.DUPLICATE, 0),
        "late": outcomes.get(Outcome.LATE, 0),
        "outcomes": dg.MetadataValue.md(_counts("outcome", {str(k): n for k, n in outcomes.items()})),
        "lag": report.lag,
        "seconds": report.seconds,
        "already_done": report.already_done,
        **_latencies(report),
        **({"bundle_sha": report.bundle_sha} if report.bundle_sha else {}),
        **({"dead_letter_reasons": dg.MetadataValue.md(_counts("reason", report.reasons))} if report.reasons else {}),
        **({"examples": dg.MetadataValue.md(_examples(report.examples))} if report.examples else {}),
    }


def table_metadata(warehouse: Warehouse, key: dg.AssetKey, report: BatchReport) -> dict[str, Any]:
    """The asset's table: rows this batch wrote, rows it has now."""
    table = table_of(key)
    return {
        "rows_written": report.rows.get(table, 0),
        "dagster/row_count": warehouse.count(table) if warehouse.exists(table) else 0,
        "dagster/table_name": f"lake.{table}",
    }


def _latencies(report: BatchReport) -> dict[str, float]:
    """From Kafka's time stamp of a message to the commit of what became of it."""
    found = {
        "event_to_result_p50_ms": report.latency_p50_ms,
        "event_to_result_p95_ms": report.latency_p95_ms,
        "event_to_result_max_ms": report.latency_max_ms,
    }
    return {name: round(value, 1) for name, value in found.items() if value is not None}


def _counts(of: str, counts: Mapping[str, int]) -> str:
    lines = [f"| {of} | messages |", "|---|---:|"]
    lines += [f"| {name} | {count:,} |" for name, count in sorted(counts.items(), key=lambda item: -item[1]) if count]
    return "\n".join(lines)


def _examples(examples: Mapping[str, str]) -> str:
    """A score's id as the command that computes it again."""
    lines = []
    for outcome, texts in examples.items():
        shown = [f"`crp replay {text}`" if _SCORE_ID.fullmatch(text) else text for text in texts.split(", ")]
        lines += [f"- {outcome}: {text}" for text in shown]
    return "\n".join(lines)
