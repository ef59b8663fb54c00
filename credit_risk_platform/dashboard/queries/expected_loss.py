"""The allowance of a day, what moved it, and what scenarios would make of it."""

DAYS = "select distinct as_of from gold.ecl_stage order by as_of desc limit 60"

TOTALS = """
select
    sum(loans) as loans, cast(sum(ead) as double) as ead, cast(sum(ecl) as double) as ecl,
    cast(sum(ecl_cecl) as double) as ecl_cecl,
    cast(sum(ecl) as double) / nullif(cast(sum(ead) as double), 0) as coverage,
    cast(sum(case when stage = 2 then ead else 0 end) as double) / nullif(cast(sum(ead) as double), 0) as stage_2,
    cast(sum(case when stage = 3 then ead else 0 end) as double) / nullif(cast(sum(ead) as double), 0) as stage_3
from gold.ecl_stage
where {where} and as_of = ?
"""

CUBE = """
select
    {by}, cast(sum(loans) as bigint) as loans, cast(sum(ead) as double) as ead, cast(sum(ecl) as double) as ecl,
    cast(sum(ecl_cecl) as double) as ecl_cecl,
    cast(sum(ecl) as double) / nullif(cast(sum(ead) as double), 0) as coverage
from gold.ecl_stage
where {where} and as_of = ?
group by {by}
order by {by}
"""

WATERFALL = """
select step_no, step, amount, compared_with from gold.ecl_waterfall where as_of = ? order by step_no
"""

STRESS = """
with latest as (
    select scenario, max(as_of) as as_of from gold.stress_ecl group by scenario
)

select
    stress.scenario, stress.stage, max(stress.as_of) as as_of, cast(sum(stress.ecl) as double) as ecl,
    max(stress.unemployment_peak) as unemployment_peak
from gold.stress_ecl as stress
inner join latest on stress.scenario = latest.scenario and stress.as_of = latest.as_of
where {where}
group by stress.scenario, stress.stage
order by stress.scenario, stress.stage
"""

MOVERS = """
select
    moved.loan_id, cast(moved.{column} as double) as amount, cast(moved.ecl_before as double) as ecl_before,
    cast(moved.ecl_after as double) as ecl_after, moved.stage_before, moved.stage_after, loans.purpose, loans.risk_band
from gold.ecl_movements as moved
inner join gold.portfolio_loans as loans on moved.loan_id = loans.loan_id
where moved.as_of = ? and moved.{column} <> 0 and {where}
order by abs(moved.{column}) desc, moved.loan_id
limit ?
"""

MOVED = """
select {sums}
from gold.ecl_movements as moved
inner join gold.portfolio_loans as loans on moved.loan_id = loans.loan_id
where moved.as_of = ? and {where}
"""
