"""Every policy version ever seen, with the hash of its content: a published version may not change under its name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from credit_risk_platform.adapters.policies import PolicyBook, policy_tables
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.policy import Policy

TABLE = "gold.policy_versions"
SCHEMA = pa.schema(
    [
        ("policy_version", pa.string()),
        ("effective_from", pa.date32()),
        ("approve_below", pa.float64()),
        ("decline_from", pa.float64()),
        ("reason_version", pa.string()),
        ("rules", pa.string()),
        ("bands", pa.string()),
        ("assumptions", pa.string()),
        ("note", pa.string()),
        ("sha256", pa.string()),
        ("first_seen", pa.timestamp("us")),
        ("reason_texts", pa.map_(pa.string(), pa.string())),
    ]
)
_WORDS = f"""
    select policy_version, unnest(map_keys(reason_texts)) as code, unnest(map_values(reason_texts)) as text from {TABLE}
"""


def in_words(scores: str) -> str:
    """Query for (score_id, reason_texts): the approved texts of the reasons that each row of `scores` gives.

    In the order of the reasons, by the version of the policy that decided. `scores` is a table, or a name of the
    statement, with columns score_id, policy_version and reasons; who gives no reason is left out.
    """
    return f"""
        select score_id, list(text order by place) as reason_texts
        from (
            select score_id, policy_version, unnest(reasons) as code,
                unnest(range(1, array_length(reasons) + 1)) as place
            from {scores}
        ) as given
        left join ({_WORDS}) as words using (policy_version, code)
        group by score_id
    """


@dataclass(frozen=True)
class Changed:
    """A version that says something else than when it was first seen."""

    version: str
    then: str
    now: str


@dataclass(frozen=True)
class Recorded:
    """`new` were written now; `gone` are on record and no longer on file."""

    new: tuple[str, ...]
    changed: tuple[Changed, ...]
    gone: tuple[str, ...]


def on_file(warehouse: Warehouse, book: PolicyBook) -> list[Policy]:
    """Every version of the book with its bands and reason texts, oldest first. Raises what `PolicyBook.on` does."""
    bands, reasons = policy_tables(warehouse)
    return [draft.with_tables(bands, reasons) for draft in book.all()]


def record(warehouse: Warehouse, policies: Sequence[Policy], now: datetime) -> Recorded:
    """Add the versions not seen before. One that was, and differs, stays on record as it was first seen."""
    stored = known(warehouse)
    new = [policy for policy in policies if policy.version not in stored]
    rows = pa.Table.from_pylist([_row(policy, now) for policy in new], SCHEMA)
    warehouse.append_missing(TABLE, rows, ["policy_version"])
    changed = [
        Changed(policy.version, stored[policy.version], policy.sha256)
        for policy in policies
        if stored.get(policy.version, policy.sha256) != policy.sha256
    ]
    gone = sorted(set(stored) - {policy.version for policy in policies})
    return Recorded(tuple(policy.version for policy in new), tuple(changed), tuple(gone))


def known(warehouse: Warehouse) -> dict[str, str]:
    """Version -> content hash, as first seen."""
    if not warehouse.exists(TABLE):
        return {}
    found = warehouse.query(f"select policy_version, sha256 from {TABLE}").to_pydict()
    return dict(zip(found["policy_version"], found["sha256"], strict=True))


def _row(policy: Policy, now: datetime) -> dict[str, object]:
    return {
        "policy_version": policy.version,
        "effective_from": policy.effective_from,
        "approve_below": policy.approve_below,
        "decline_from": policy.decline_from,
        "reason_version": policy.reason_codes.version,
        "rules": json.dumps([asdict(rule) for rule in policy.rules], sort_keys=True),
        "bands": json.dumps(asdict(policy.bands), sort_keys=True),
        "assumptions": json.dumps(dict(policy.assumptions), sort_keys=True),
        "note": policy.note,
        "sha256": policy.sha256,
        "first_seen": now,
        "reason_texts": sorted(policy.reason_codes.texts.items()),
    }
