"""The start page: one query per chart and per export. `{where}` is the filter bar's predicate, its values bound."""

BANDS = """
select risk_band, count(*) as loans, sum(balance) as balance
from gold.portfolio_loans
where is_open and {where}
group by risk_band
order by array_position(['Very Low', 'Low', 'Medium', 'High', 'Very High', 'Not scored'], risk_band)
"""
DPD = """
with buckets as (
    select
        unnest(['Current', '1-29', '30-59', '60-89', '90-119', '120+', null]) as bucket, unnest(range(7)) as position
)

select
    case when b.bucket = 'Current' then '0' else coalesce(b.bucket, 'unknown') end as bucket,
    count(l.loan_id) as loans, coalesce(sum(l.balance), 0) as balance
from buckets as b
left join (select * from gold.portfolio_loans where is_open and {where}) as l
    on l.dpd_bucket is not distinct from b.bucket
group by b.bucket, b.position
having b.bucket is not null or count(l.loan_id) > 0
order by b.position
"""
GROWTH = """
with months as (select distinct month_end from gold.portfolio_months)

select m.month_end, sum(p.balance) as balance, sum(p.loans) as loans
from months as m
left join (select * from gold.portfolio_months where {where}) as p on m.month_end = p.month_end
group by m.month_end
order by m.month_end
"""
SCORES = """
select floor({column} / 10) * 10 as bin, risk_band, count(*) as loans
from gold.portfolio_loans
where is_open and {column} is not null and {where}
group by all
order by bin
"""
PURPOSES = """
select purpose, sum(loan_amount) as amount, count(*) as loans
from gold.portfolio_loans
where is_open and {where}
group by purpose
order by amount, purpose desc
"""
PDS = """
select least(floor(pd * 50), 49) / 50 as bin, risk_band, count(*) as loans
from gold.portfolio_loans
where is_open and pd is not null and {where}
group by all
order by bin
"""
GRANTED = """
with days as (
    select unnest(range(last_day - 89, last_day + 1, interval 1 day))::date as day
    from (select max(decision_date)::date as last_day from gold.portfolio_loans)
)

select d.day, avg(l.pd) as mean_pd, count(l.loan_id) as loans
from days as d
left join (select * from gold.portfolio_loans where {where}) as l on d.day = l.decision_date
group by d.day
order by d.day
"""
HIGH_RISK = "select * from gold.high_risk_loans where {where} order by pd desc, loan_id"
LOANS = "select * from gold.portfolio_loans where {where} order by loan_id"
"""The marts hold no customer: no name, no id, no token."""
