"""How each topic does: what came, what waits, what could not be used, and how long an event waits for its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from credit_risk_platform.adapters.streaming.batch import NotReadyError, Outcome
from credit_risk_platform.adapters.streaming.sink import BATCHES, TRACE
from credit_risk_platform.adapters.streaming.transport import Transport
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.contracts.messages import CONTRACTS

STREAM_HEALTH = "monitoring.stream_health"


@dataclass(frozen=True)
class Waiting:
    """Messages of a topic that no batch has taken; `None` where nobody could be asked, and then `note` says why."""

    messages: int | None
    note: str


def waiting(transport: Transport, group: str, topics: Iterable[str] = tuple(CONTRACTS)) -> dict[str, Waiting]:
    """Topic -> what waits. A stream that is away is a finding, not an error."""
    if why := transport.silent():
        return {topic: Waiting(None, why) for topic in topics}
    return {topic: _waiting(transport, group, topic) for topic in topics}


def stream_health(warehouse: Warehouse, lag: Mapping[str, Waiting], now: datetime) -> pa.Table:
    """One row per topic of `lag`: messages and dead letters in all and of the last hour and day, and times in ms.

    Columns as in `_SQL`; `now` is UTC without a zone. `event_to_result_*` is the time from a message's arrival in
    the stream to the start of the batch that took it, over the last day; the batch itself adds its own seconds, which
    `crp_stream_event_to_result_seconds` (Prometheus) includes.
    """
    hour, day = now - timedelta(hours=1), now - timedelta(days=1)
    asked = pa.table({
        "topic": pa.array(lag, pa.string()),
        "lag": pa.array([found.messages for found in lag.values()], pa.int64()),
        "note": pa.array([found.note for found in lag.values()], pa.string()),
    })  # fmt: skip
    traced = TRACE if warehouse.exists(TRACE) else _NO_TRACE
    batches = BATCHES if warehouse.exists(BATCHES) else _NO_BATCHES
    with warehouse.workspace() as workspace:
        workspace.stage("asked", asked)
        dead = str(Outcome.DEAD_LETTER)
        sql = _SQL.format(trace=traced, batches=batches)
        return workspace.query(sql, [hour, day, dead, dead, day, day, day, now, now])


def _waiting(transport: Transport, group: str, topic: str) -> Waiting:
    log = transport.log(topic, group)
    try:
        return Waiting(log.lag(), "")
    except NotReadyError as error:
        return Waiting(None, str(error))
    finally:
        log.close()


_NO_TRACE = (
    "(select null::varchar as topic, null::varchar as outcome, null::timestamp as kafka_time, "
    "null::timestamp as processed_at where false)"
)
_NO_BATCHES = "(select null::varchar as topic, null::timestamp as committed_at where false)"
_SQL = """
    with traced as (
        select
            topic,
            count(*) as messages,
            count(*) filter (processed_at > ?) as messages_last_hour,
            count(*) filter (processed_at > ?) as messages_last_day,
            count(*) filter (outcome = ?) as dead_letters,
            count(*) filter (outcome = ? and processed_at > ?) as dead_letters_last_day,
            quantile_cont(epoch_ms(processed_at) - epoch_ms(kafka_time), 0.5) filter (processed_at > ?)
                as event_to_result_p50_ms,
            quantile_cont(epoch_ms(processed_at) - epoch_ms(kafka_time), 0.95) filter (processed_at > ?)
                as event_to_result_p95_ms
        from {trace} group by topic
    ),
    taken as (select topic, max(committed_at) as last_batch_at from {batches} group by topic)
    select
        topic, asked.lag,
        coalesce(messages, 0) as messages,
        coalesce(messages_last_hour, 0) as messages_last_hour,
        coalesce(messages_last_day, 0) as messages_last_day,
        coalesce(dead_letters, 0) as dead_letters,
        coalesce(dead_letters_last_day, 0) as dead_letters_last_day,
        event_to_result_p50_ms, event_to_result_p95_ms,
        last_batch_at,
        (epoch_ms(?::timestamp) - epoch_ms(last_batch_at)) / 60000.0 as last_batch_age_minutes,
        asked.note,
        ?::timestamp as checked_at
    from asked left join traced using (topic) left join taken using (topic)
    order by topic
"""
