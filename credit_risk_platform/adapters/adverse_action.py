"""Adverse-action notices: made from the ledger, once per declined decision, and made again to prove that they are.

A notice holds no personal data beyond the subject's token; whoever sends it looks the person up by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from credit_risk_platform.adapters import decisions, policy_record
from credit_risk_platform.adapters.ledger import LEDGER
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.domain.notices import (
    DECLINED_SCHEMA,
    NOTICE_SCHEMA,
    TEMPLATES,
    NoticeError,
    Template,
    notices,
)
from credit_risk_platform.domain.policy import Decision

TABLE = "gold.adverse_action_notices"
AT_ONCE = 50_000


def write(warehouse: Warehouse, at_once: int = AT_ONCE) -> int:
    """A notice for every decline that has none; how many. Raises `NoticeError`; what was written before it stays."""
    if not warehouse.exists(TABLE):
        warehouse.append_missing(TABLE, NOTICE_SCHEMA.empty_table(), ["score_id"])
    written = 0
    while due := _due(warehouse, at_once):
        made = notices(_declined(warehouse, due))
        if made.num_rows != len(due):
            raise NoticeError(
                f"{len(due) - made.num_rows} declined decisions have no row in {LEDGER} or no version in "
                f"{policy_record.TABLE}, decision {due[0][0]} may be one: compare the three tables"
            )
        written += warehouse.append_missing(TABLE, made, ["score_id"])
    return written


def rebuilt(warehouse: Warehouse, score_id: str) -> pa.Table:
    """The notice of one declined score, from the ledger alone, by the template it was written with."""
    found = warehouse.query(f"select template_version from {TABLE} where score_id = ?", [score_id]).to_pylist()
    if not found:
        raise NoticeError(f"{TABLE} holds no notice of score {score_id}")
    return notices(_declined(warehouse, [(score_id, None)]), _template(found[0]["template_version"]))


def differing(warehouse: Warehouse, newest: int) -> list[str]:
    """Score ids among the `newest` notices that do not come out of the ledger byte by byte again."""
    sql = f"select * from {TABLE} order by decided_on desc, score_id limit ?"
    stored = warehouse.query(sql, [newest])
    wrong: list[str] = []
    for version in stored["template_version"].unique().to_pylist():
        own = stored.filter(pc.equal(stored["template_version"], version)).sort_by("score_id")
        ids = [(score_id, None) for score_id in own["score_id"].to_pylist()]
        again = notices(_declined(warehouse, ids), _template(version))
        made = {row["score_id"]: row for row in again.to_pylist()}
        wrong += [row["score_id"] for row in own.to_pylist() if made.get(row["score_id"]) != row]
    return wrong


def unanswered(warehouse: Warehouse) -> int:
    """Declined decisions without a notice, and notices without a declined decision."""
    sql = f"""
        select count(*) as n
        from (select score_id from {decisions.TABLE} where outcome = '{Decision.DECLINE}') as declined
        full join {TABLE} as told using (score_id)
        where declined.score_id is null or told.score_id is null
    """
    return int(warehouse.query(sql)["n"][0].as_py())


def by_due_day(warehouse: Warehouse, at_most: int = 10) -> pa.Table:
    """How many notices must be with their applicants by which day, the latest days first."""
    sql = f"select due_by, count(*) as notices from {TABLE} group by due_by order by due_by desc limit ?"
    return warehouse.query(sql, [at_most])


def example(warehouse: Warehouse) -> str:
    """Text of the newest notice, or nothing."""
    found = warehouse.query(f"select text from {TABLE} order by decided_on desc, score_id limit 1")["text"].to_pylist()
    return str(found[0]) if found else ""


def _due(warehouse: Warehouse, at_once: int) -> list[tuple[str, date | None]]:
    sql = f"""
        select score_id, as_of from {decisions.TABLE}
        where outcome = '{Decision.DECLINE}' and score_id not in (select score_id from {TABLE})
        order by score_id limit ?
    """
    return [(row["score_id"], row["as_of"]) for row in warehouse.query(sql, [at_once]).to_pylist()]


def _declined(warehouse: Warehouse, wanted: Sequence[tuple[str, date | None]]) -> pa.Table:
    """`DECLINED_SCHEMA` rows of these scores from the ledger, in the order of their ids."""
    ids = [score_id for score_id, _ in wanted]
    days = [day for _, day in wanted if day is not None]
    within, params = ("as_of between ? and ?", [min(days), max(days)]) if days else ("true", [])
    return warehouse.query(_FROM_LEDGER.format(within=within), [ids, *params]).cast(DECLINED_SCHEMA)


def _template(version: str) -> Template:
    if version not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise NoticeError(f"template {version} is gone from domain/notices.py (it holds {known}): put it back")
    return TEMPLATES[version]


_FROM_LEDGER = f"""
    with declined as (
        select score_id, subject_token, known_at, policy_version, points, pd, reasons from {LEDGER}
        where score_id in (select unnest(?::varchar[])) and decision = '{Decision.DECLINE}' and {{within}}
    )
    select score_id, subject_token, known_at as decided_at, policy_version, points,
        pd >= decline_from as by_score, reasons,
        case when reasons is not null then coalesce(reason_texts, []) end as reason_texts
    from declined
    join (select policy_version, decline_from from {policy_record.TABLE}) as policy using (policy_version)
    left join ({policy_record.in_words("declined")}) as told using (score_id)
    order by score_id
"""
