"""The list of loans, its totals, and the high-risk ones."""

LOANS = """
select
    loan_id, issue_month, purpose, status, cast(loan_amount as double) as loan_amount,
    cast(balance as double) as balance, days_past_due, risk_band, pd, points, watch_segment, rule_ids,
    term_months, interest_rate, bureau_score
from gold.portfolio_loans
where {where} and {only}
"""

TOTALS = """
select
    count(*) as loans, sum(balance) as balance, avg(pd) as pd,
    sum(case when days_past_due > 0 then 1 else 0 end) as in_arrears
from ({chosen}) as chosen
"""

HIGH_RISK = """
select loan_id, purpose, status, risk_band, pd, days_past_due, balance, reasons, rule_ids, score_id, issue_month, as_of
from gold.high_risk_loans where {where} order by balance desc, loan_id
"""
