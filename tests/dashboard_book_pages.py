"""What the pages beyond the portfolio read, on top of `dashboard_book`: scores, ledger, panel, watch list, monitoring.

The columns are those of the real tables, as far as the pages read them.
Loan L-0012 is the one to look at: in arrears, on the watch list, scored twice and by two runs.
"""

# ruff: noqa: E501 - SQL, one thought per line

from __future__ import annotations

from pathlib import Path

from credit_risk_platform.settings import Settings
from tests import dashboard_book

LOAN = "L-0012"
TOKEN = "token-of-a-person"
"""Stands in every table that has a subject token; a page that shows it gives a customer away."""
SHA = "ab" * 32

PANEL = """
with months as (select last_day((date '2024-01-01' + to_months(range::int))::date) as month_end from range(30))
select l.loan_id, m.month_end, date_diff('month', l.issue_month, m.month_end)::int as months_on_book, 100.0::decimal(18,2) as amount_due,
    100.0::decimal(18,2) as amount_paid, l.balance, case when m.month_end = l.as_of then l.days_past_due else 0 end::int as days_past_due,
    case when m.month_end = l.as_of then l.dpd_bucket else 'Current' end as dpd_bucket, l.status
from gold.portfolio_loans as l inner join months as m on m.month_end > l.issue_month
where l.is_open and m.month_end <> date '2025-11-30'
"""

LEDGER = f"""
with runs as (select * from (values ('2026-06-29', 'run-of-monday', 'a'), ('2026-06-30', 'run-of-tuesday', 'b')) as t (day, run_id, part))
select part || '-' || score_id as score_id, loan_id, '{TOKEN}' as subject_token, day::date as as_of, day::timestamp as known_at, pd,
    points, risk_band as band, decision, ['AA04', 'AA09'] as reasons, 'logistic_regression' as model_name, '{SHA}' as bundle_sha,
    'cd12' || score_id as feature_sql_hash, '2007.1' as policy_version,
    '[{{"asset":"gold/application_features","data_version":"0f9379b4cce0c483","partition":null,"run_id":"run-of-features"}}]' as upstream,
    null::varchar as kafka_topic, null::int as kafka_partition, null::bigint as kafka_offset, run_id, '0131e86a37d2' as git_commit,
    null::bigint as seal_no
from gold.portfolio_loans cross join runs where score_id is not null
"""

REASON_CODES = """
select * from (values ('AA04', 'Excessive obligations in relation to income'), ('AA09', 'Length of the repayment period requested'))
    as t (code, text)
"""

SEGMENTS = f"""
select as_of, loan_id, watch_segment as segment, rule_ids, case when watch_segment = 'standard' then 0 else 1 end as rules_fired,
    5 as rules_measured, 'EW-04, EW-05' as not_measurable, balance as exposure, balance_basis as exposure_basis, '{TOKEN}' as subject_token
from gold.portfolio_loans where is_open
"""

WATCHLIST = f"""
select as_of, loan_id, '{TOKEN}' as subject_token, segment, coalesce(rule_ids, 'EW-01') as rule_ids,
    '=EW-01: dti=0.52' as evidence, null::varchar as refer_to, exposure, exposure_basis
from gold.risk_segments where segment <> 'standard'
"""

WARNINGS = f"""
select as_of, loan_id, 'EW-01' as rule_id, '2007.1' as rule_version, 'watch' as severity, null::varchar as refer_to, as_of as measured_on,
    'dti' as measure, 0.52 as measured_value, 0.4 as threshold, 'dti=0.52' as evidence, '{TOKEN}' as subject_token
from gold.watchlist
"""

KPIS = """
select * from (values
    (date '2026-06-30', 'at_decision', null::date, 'EW-01', 200, 0.1, 0.25, 2.5, 0.3, 0.08, 4),
    (date '2026-06-30', 'on_book', date '2025-01-31', 'EW-01, EW-02', 0, null, null, null, null, null, 0))
    as t (as_of, evaluated, evaluated_on, rule_ids, portfolio_rows, baseline_default_rate, watchlist_default_rate, lift, capture,
        false_alarm_rate, not_measurable_loans)
"""

PORTFOLIO_WARNINGS = """
select * from (values ('EW-10', 'purpose', 'car', 17, null, null, 'not_measurable', 'too few loans'),
    ('EW-12', 'state', 'CA', 80, 0.31, 0.2, 'fired', 'share 31 %'), ('EW-11', 'vintage', '2026-02', 12, 0.01, 0.05, 'clear', ''))
    as t (rule_id, segment_kind, segment, loans, measured_value, limit_value, status, evidence)
"""

COVERAGE = """
select * from (values ('EW-01', 'Heavy debts', 'watch', 240, 240, 30, 'measured', null),
    ('EW-04', 'Behavioural PD risen', 'high', 240, 0, 0, 'not measurable', 'not read by the marts'))
    as t (rule_id, rule_name, severity, judged, measured, fired, status, reason)
"""

MATURED = """
select (date '2024-01-01' + to_months(n::int))::date as issue_month, case when n < 12 then 'in sample' else 'held out' end as exposure,
    200::bigint as loans, (10 + n)::bigint as bads, (10 + n) / 200.0 as observed_bad_rate, 0.08 as expected_bad_rate, 0.70 + n / 500.0 as auc
from (select range as n from range(18))
"""

ESTIMATED = """
select (date '2024-01-01' + to_months(n::int))::date as issue_month, n < 18 as matured, 200::bigint as loans, 0.72 as estimated_auc,
    0.03 as auc_error, 0.09 as estimated_bad_rate
from (select range as n from range(24))
"""

BACKTEST = """
select date '2025-06-01' as issue_month, band, light, 0.08 as expected_pd, 0.09 as bad_rate, 100::bigint as loans
from (values ('Low', 'green'), ('Medium', 'amber'), ('High', 'red'), ('all', 'green')) as t (band, light)
"""

REALISED = "select date '2026-06-30' as as_of, 3871::bigint as loans, 342::bigint as bads, 0.088 as mean_pd, 0.03 as z, false as is_off"

SCORE_DRIFT = """
select date '2026-06-30' - n::int as as_of, population, 'pd' as feature, 0.002 * (n + 1) as psi, 'stable' as verdict
from (select range as n from range(4)) cross join (values ('portfolio'), ('new_applications')) as t (population)
"""

FEATURE_DRIFT = """
select as_of, population, 'feature_' || k as feature, 0.05 * k as psi,
    case when k > 5 then 'significant' when k > 2 then 'moderate' else 'stable' end as verdict
from monitoring.score_drift cross join (select range as k from range(8))
"""

DECISIONS = f"""
select 'asked-' || n as score_id, 'A-' || n as loan_id, '{TOKEN}' as subject_token, (date '2026-06-01' + (n % 5)::int)::date as as_of,
    case when n % 3 = 0 then 'decline' when n % 3 = 1 then 'approve' else 'refer' end as outcome,
    case when n % 2 = 0 then 'High' else 'Low' end as band,
    case when n % 3 = 0 then ['Excessive obligations in relation to income', 'Income insufficient'] end as reason_texts
from (select range as n from range(60))
"""

MOVEMENTS = """
select as_of, date '2026-05-31' as compared_with, loan_id, 1 as stage_before, stage as stage_after, ecl - 30 as ecl_before, ecl as ecl_after,
    0.0 as new_business, 0.0 as derecognised, 20.0 as stage_moves, 10.0 as remeasurement, 0.0 as pd_model, 0.0 as lgd_model, 0.0 as scenario,
    0.0 as data_restatement
from gold.loan_ecl
"""

TABLES = {
    "silver.int_loan_month_panel": PANEL,
    "gold.score_ledger": LEDGER,
    "gold.portfolio_scores": LEDGER,
    "gold.reason_codes": REASON_CODES,
    "gold.risk_segments": SEGMENTS,
    "gold.watchlist": WATCHLIST,
    "gold.early_warnings": WARNINGS,
    "gold.kpi_summary": KPIS,
    "gold.portfolio_warnings": PORTFOLIO_WARNINGS,
    "gold.early_warning_coverage": COVERAGE,
    "gold.ecl_movements": MOVEMENTS,
    "monitoring.performance_matured": MATURED,
    "monitoring.performance_estimated": ESTIMATED,
    "monitoring.backtest_pd": BACKTEST,
    "monitoring.realised_pd": REALISED,
    "monitoring.score_drift": SCORE_DRIFT,
    "monitoring.feature_drift": FEATURE_DRIFT,
    "gold.decisions": DECISIONS,
}


def new_book(home: Path) -> Settings:
    """`dashboard_book`'s home with these tables as well."""
    return dashboard_book.fill(home, {**dashboard_book.TABLES, **TABLES})
