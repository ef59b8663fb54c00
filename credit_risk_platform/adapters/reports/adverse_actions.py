"""The adverse-action log of a day: every decline, why, in which words, and whether its notice stands. No person."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from credit_risk_platform.adapters.reports.section import Column, Figure, Report, Section, Source, Unit, grid, not_made
from credit_risk_platform.adapters.warehouse.base import Warehouse

KIND = "adverse_action_log"
DECISIONS, NOTICES = "gold/decisions", "gold/adverse_action_notices"


def report(warehouse: Warehouse, as_of: date) -> Report:
    """The log of the decisions whose score is of that day."""
    sections = [_counted(warehouse, as_of), _reasons(warehouse, as_of), _declines(warehouse, as_of)]
    return Report(KIND, "Adverse-action log", f"Decisions of {as_of}", as_of, sections)


def _counted(warehouse: Warehouse, as_of: date) -> Section:
    told = Section(
        "outcomes",
        "Decisions of the day",
        "What was decided on applications by event and by API. The platform makes no counter-offers: a lender's own "
        "would be logged by the system that makes them.",
    )
    if not _any(warehouse, "gold.decisions"):
        return not_made(told, DECISIONS)
    sql = """
        select channel, policy_version, outcome, route, count(*) as decisions
        from gold.decisions where as_of = ? group by all order by all
    """
    columns = (
        Column("channel"), Column("policy"), Column("outcome"), Column("route"), Column("decisions", Unit.COUNT),
    )  # fmt: skip
    tables = [grid("Outcomes", warehouse.query(sql, [as_of]), columns, Source(DECISIONS))]
    if not warehouse.exists("gold.adverse_action_notices"):
        return replace(told, tables=tables, notes=[f"Notices: not made yet: materialise {NOTICES}."])
    notices = f"""
        select count(*) as declines, count(notice.score_id) as written,
            count(*) - count(notice.score_id) as waiting {_DECLINED}
    """
    (state,) = warehouse.query(notices, [as_of]).to_pylist()
    figures = [
        Figure("Declined", state["declines"], Unit.COUNT, Source(DECISIONS)),
        Figure("Notices written", state["written"], Unit.COUNT, Source(NOTICES)),
        Figure("Notices not written yet", state["waiting"], Unit.COUNT, Source(NOTICES)),
    ]
    return replace(told, figures=figures, tables=tables)


def _reasons(warehouse: Warehouse, as_of: date) -> Section:
    told = Section("reasons", "Principal reasons", "How often each was given for a decline, in its approved words.")
    if not _any(warehouse, "gold.decisions"):
        return not_made(told, DECISIONS)
    sql = """
        select code, text, count(*) as declines
        from (select unnest(reasons) as code, unnest(reason_texts) as text from gold.decisions
              where as_of = ? and outcome = 'decline')
        group by code, text order by declines desc, code
    """
    columns = (Column("code"), Column("words"), Column("declines", Unit.COUNT))
    return replace(told, tables=[grid("Reasons", warehouse.query(sql, [as_of]), columns, Source(DECISIONS))])


def _declines(warehouse: Warehouse, as_of: date) -> Section:
    told = Section(
        "declines",
        "Every decline",
        "By loan and score id; whoever may know the person finds them by these. Due: 30 days after the decision "
        "(Regulation B 1002.9). Sending is the business of the system that sends.",
    )
    if not _any(warehouse, "gold.decisions"):
        return not_made(told, DECISIONS)
    if not warehouse.exists("gold.adverse_action_notices"):
        return not_made(told, NOTICES)
    sql = f"""
        select declined.loan_id, declined.score_id, strftime(declined.decided_at, '%Y-%m-%d %H:%M') as decided_at,
            case when notice.score_id is null then 'not yet' else 'written' end as notice, notice.due_by,
            round(declined.points) as points, array_to_string(declined.rules, ', ') as rules,
            told.reasons
        {_DECLINED} left join ({_TOLD}) as told using (score_id) order by declined.decided_at, declined.score_id
    """
    columns = (
        Column("loan"), Column("score"), Column("decided at (UTC)"), Column("notice"), Column("due by"),
        Column("points", Unit.COUNT), Column("rules"), Column("reasons"),
    )  # fmt: skip
    found = warehouse.query(sql, [as_of, as_of])
    return replace(told, tables=[grid("Declined", found, columns, Source(DECISIONS))])


def _any(warehouse: Warehouse, table: str) -> bool:
    """Whether anything ever was written there: other steps lay out the table empty before its asset has run."""
    return warehouse.exists(table) and warehouse.count(table) > 0


_DECLINED = """
    from (select * from gold.decisions where as_of = ? and outcome = 'decline') as declined
    left join gold.adverse_action_notices as notice using (score_id)
"""
_TOLD = """
    select score_id, string_agg(code || ' ' || text, '; ' order by place) as reasons
    from (
        select score_id, unnest(reasons) as code, unnest(reason_texts) as text,
            unnest(range(1, array_length(reasons) + 1)) as place
        from gold.decisions where as_of = ? and outcome = 'decline'
    ) as listed
    group by score_id
"""
