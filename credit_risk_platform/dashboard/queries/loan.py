"""One loan, from every table that knows it."""

FACTS = """
select
    loan_id, issue_month, purpose, state, grade, term_months, cast(loan_amount as double) as loan_amount, interest_rate,
    bureau_score, status, cast(balance as double) as balance, balance_basis, days_past_due, months_on_book,
    default_date, closed_date, pd, points, risk_band, as_of
from gold.portfolio_loans where loan_id = ?
"""

HISTORY = """
select
    month_end, months_on_book, cast(balance as double) as balance, days_past_due, dpd_bucket, status,
    cast(amount_due as double) as amount_due, cast(amount_paid as double) as amount_paid
from silver.int_loan_month_panel where loan_id = ? order by month_end
"""

LEDGER = """
select
    score_id, as_of, known_at, pd, points, band, decision, reasons, model_name, bundle_sha, feature_sql_hash,
    policy_version, upstream, kafka_topic, kafka_partition, kafka_offset, run_id, git_commit, seal_no
from gold.score_ledger where loan_id = ? order by as_of desc, known_at desc, score_id limit 50
"""

REASONS = "select distinct code, text from gold.reason_codes"

ECL = """
select
    as_of, stage, stage_reason, pd_12m, pd_lifetime, pd_lifetime_at_origination, lgd, cast(ead as double) as ead,
    cast(ecl as double) as ecl, cast(ecl_cecl as double) as ecl_cecl, eir, hazard_sha, lgd_sha, scenario_sha
from gold.loan_ecl where loan_id = ? and as_of = (select max(as_of) from gold.loan_ecl)
"""

SEGMENT = """
select segment, rules_fired, rules_measured, not_measurable from gold.risk_segments where loan_id = ?
"""

WARNINGS = """
select rule_id, severity, measured_on, measure, measured_value, threshold, evidence
from gold.early_warnings where loan_id = ? order by severity, rule_id
"""
