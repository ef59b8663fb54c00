"""The watch list, its figures, and what could be measured."""

KPI = """
select
    case
        when evaluated = 'at_decision' then 'At the decision'
        else 'On the book at ' || coalesce(cast(evaluated_on as varchar), 'no day')
    end as label,
    rule_ids, portfolio_rows, baseline_default_rate, watchlist_default_rate, lift, capture,
    false_alarm_rate, not_measurable_loans
from gold.kpi_summary order by evaluated
"""

SEGMENTS = """
select found.segment, count(*) as loans, cast(sum(found.exposure) as double) as exposure
from gold.risk_segments as found
inner join gold.portfolio_loans as loans on found.loan_id = loans.loan_id
where {where}
group by found.segment
"""

WATCHLIST = """
select
    listed.loan_id, listed.segment, listed.rule_ids, listed.evidence, cast(listed.exposure as double) as exposure,
    listed.refer_to, loans.purpose, loans.status, loans.risk_band, loans.pd, loans.days_past_due, loans.issue_month
from gold.watchlist as listed
inner join gold.portfolio_loans as loans on listed.loan_id = loans.loan_id
where {where}
order by case listed.segment when 'high' then 0 else 1 end, listed.exposure desc, listed.loan_id
"""

PORTFOLIO_WARNINGS = """
select status, rule_id, segment_kind, segment, loans, measured_value, limit_value, evidence
from gold.portfolio_warnings
order by case status when 'fired' then 0 when 'not_measurable' then 1 else 2 end, rule_id, segment_kind, segment
"""

COVERAGE = """
select status, rule_id, rule_name, severity, judged, measured, fired, reason
from gold.early_warning_coverage
order by case status when 'measured' then 2 when 'partly measured' then 1 else 0 end, rule_id
"""
