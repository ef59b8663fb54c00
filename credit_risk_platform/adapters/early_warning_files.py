"""The five CSV files that S2 published, from today's marts. No file names a person: loans and tokens only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from credit_risk_platform.adapters.csv_exports import Written, export
from credit_risk_platform.adapters.ledger import SCORES
from credit_risk_platform.adapters.warehouse.base import Warehouse

SEGMENTS, WATCHLIST, KPIS = "gold.risk_segments", "gold.watchlist", "gold.kpi_summary"
COVERAGE, PORTFOLIO_WARNINGS = "gold.early_warning_coverage", "gold.portfolio_warnings"
FEATURES, OUTCOMES = "gold.application_features", "gold.loan_outcomes"

_WORST_FIRST = "case segment when 'high' then 1 when 'watch' then 2 else 3 end"

QUERIES = {
    "clean_loans.csv": f"""
        select f.loan_id, f.source_system, f.issue_month, f.decision_date, f.loan_amount, f.term_months, f.purpose,
            f.application_type, f.annual_income, f.employment_length_years, f.home_ownership, f.dti,
            f.revolving_balance, f.revolving_utilisation, f.bureau_score, f.n_open_accounts, f.delinq_2y,
            f.inquiries_6m, f.public_records, o.outcome, o.default_date, o.observed_through
        from {FEATURES} as f inner join {OUTCOMES} as o on f.loan_id = o.loan_id
        order by f.loan_id
    """,
    "risk_segments.csv": f"select * from {SEGMENTS} order by loan_id",
    "early_warning_watchlist.csv": f"select * from {WATCHLIST} order by {_WORST_FIRST}, exposure desc, loan_id",
    "kpi_summary.csv": f"select * from {KPIS} order by evaluated",
    "risk_segments_with_predictions.csv": f"""
        select g.*, p.pd, p.band, p.decision, p.as_of as scored_as_of
        from {SEGMENTS} as g
        left join (select * from {SCORES} where as_of = (select max(as_of) from {SCORES})) as p
            on g.loan_id = p.loan_id
        order by g.loan_id
    """,
}
"""File -> the rows it holds. Predictions are those of the latest day that was scored."""

TABLES = (FEATURES, OUTCOMES, SEGMENTS, WATCHLIST, KPIS, COVERAGE, PORTFOLIO_WARNINGS, SCORES)


@dataclass(frozen=True)
class Agreement:
    """Rows of the marts against those that should equal them; `unscored` are open loans without a prediction."""

    segments: int
    watchlist: int
    flagged: int
    unscored: int


def missing_tables(warehouse: Warehouse) -> list[str]:
    """What has to be materialised before anything can be written."""
    return [table for table in TABLES if not warehouse.exists(table)]


def write(warehouse: Warehouse, folder: Path) -> dict[str, Written]:
    """Write all five files below `folder`, each replaced whole; file name -> what was written."""
    return {name: export(warehouse, sql, folder / name) for name, sql in QUERIES.items()}


def agreement(warehouse: Warehouse) -> Agreement:
    sql = f"""
        select
            (select count(*) from {SEGMENTS}) as segments,
            (select count(*) from {WATCHLIST}) as watchlist,
            (select count(*) from {SEGMENTS} where segment <> 'standard') as flagged,
            (
                select count(*) from {SEGMENTS} where loan_id not in (
                    select loan_id from {SCORES} where as_of = (select max(as_of) from {SCORES})
                )
            ) as unscored
    """
    return Agreement(**warehouse.query(sql).to_pylist()[0])
