"""Applications whose PD is beyond what the policy they were scored under accepts: what people want to hear of at once.

Read from the ledger, where every path ends, batch by batch: its seals are numbered in the order of their commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from credit_risk_platform.adapters.api_sink import TOPIC as HTTP
from credit_risk_platform.adapters.ledger import LEDGER, SEALS
from credit_risk_platform.adapters.policies import REASONS
from credit_risk_platform.adapters.policy_files import PolicyDraft
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.contracts.messages import APPLICATIONS

FIRST_LOOK = timedelta(hours=1)
"""A watch that has never looked begins with what was scored within it."""


@dataclass(frozen=True)
class HighRisk:
    """`found` applications lie beyond the limit, of all that came with the seals after the last look up to `seal`.

    `riskiest` (PD descending): score_id, pd, limit, band, decision, reasons (codes with texts), policy_version, scored
    (time), path ("api" or "stream").
    """

    seal: int
    found: int
    riskiest: Sequence[dict[str, Any]]


def high_risk(
    warehouse: Warehouse, policies: Sequence[PolicyDraft], after_seal: int | None, now: datetime, at_most: int
) -> HighRisk:
    """The applications sealed after `after_seal` whose PD is at or above `decline_from` of their policy version.

    `at_most` of them are told. A version that is no longer on file has no limit any more, so its scores are left out.
    """
    if not (warehouse.exists(LEDGER) and warehouse.exists(SEALS)):
        return HighRisk(after_seal or 0, 0, [])
    bounds = warehouse.query(_BOUNDS, [now.replace(tzinfo=None) - FIRST_LOOK]).to_pylist()[0]
    last = int(bounds["last"] or 0)
    # A number beyond the last one was of another ledger: the lake was made anew.
    first = int(bounds["long_ago"] or 0) if after_seal is None or after_seal > last else after_seal
    if first == last or not policies:
        return HighRisk(last, 0, [])
    limits = [
        [policy.version for policy in policies],
        [policy.decline_from for policy in policies],
        [policy.reason_version for policy in policies],
    ]
    rows = warehouse.query(_BEYOND, [*limits, first, last, [APPLICATIONS.topic, HTTP], at_most]).to_pylist()
    texts = _texts(warehouse) if rows else {}
    told = [
        {**row, "reasons": [(code, texts.get((row["reason_version"], code), "")) for code in row["reasons"] or ()]}
        for row in rows
    ]
    return HighRisk(last, int(rows[0]["found"]) if rows else 0, told)


def _texts(warehouse: Warehouse) -> dict[tuple[str, str], str]:
    if not warehouse.exists(REASONS):
        return {}
    found = warehouse.query(f"select distinct reason_version, code, text from {REASONS}").to_pylist()
    return {(row["reason_version"], row["code"]): row["text"] for row in found}


_BOUNDS = f"select max(seal_no) as last, max(seal_no) filter (sealed_at < ?) as long_ago from {SEALS}"
# The seals are bound, so that the engine skips the ledger's files before them.
_BEYOND = f"""
    with limits as (
        select unnest(?::varchar[]) as policy_version, unnest(?::double[]) as "limit",
            unnest(?::varchar[]) as reason_version
    )
    select score_id, pd, "limit", band, decision, reasons, policy_version, reason_version, known_at as scored,
        case when kafka_topic = '{HTTP}' then 'api' else 'stream' end as path, count(*) over () as found
    from {LEDGER} join limits using (policy_version)
    where seal_no > ? and seal_no <= ? and kafka_topic in (select unnest(?)) and pd >= "limit"
    order by pd desc, score_id limit ?
"""
