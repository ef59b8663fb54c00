"""A home for the dashboard's tests: the gold tables of the pages in a small lake, filled by SQL, the same on every day.

300 loans issued from January 2024 to December 2025, known to 30 June 2026. What a figure of it should be, a test works
out by SQL of its own or by hand; nothing here imitates the marts' formulas beyond what pages need to draw.
"""

# ruff: noqa: E501 - SQL, one thought per line

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.settings import Settings

LOANS = 300
AS_OF = "2026-06-30"


@dataclass(frozen=True)
class Size:
    """How many loans, issued in how many months from when on."""

    loans: int = LOANS
    first_month: str = "2024-01-01"
    issue_months: int = 24


def portfolio_loans(size: Size) -> str:
    return f"""
with numbers as (select range::int as i from range({size.loans})),
     drawn as (
        select i, 'L-' || lpad(i::text, 4, '0') as loan_id,
            (date '{size.first_month}' + to_months(i % {size.issue_months}))::date as issue_month,
            ['debt_consolidation', 'credit_card', 'home_improvement', 'car', 'small_business'][1 + (i * 7) % 5] as purpose,
            ['CA', 'NY', 'TX', 'FL'][1 + i % 4] as state, ['A', 'B', 'C', 'D', 'E'][1 + i % 5] as grade,
            case when i % 3 = 0 then 60 else 36 end as term_months,
            (2000 + (i * 137) % 330 * 100)::decimal(18, 2) as loan_amount,
            ['Current', 'Current', 'Current', 'Current', 'Current', 'Current', 'In Arrears', 'Default', 'Charged Off',
             'Closed'][1 + (i * 3) % 10] as status,
            0.006 + 0.42 * pow(((i * 37) % 100) / 100.0, 2) as pd
        from numbers),
     stated as (
        select *, status not in ('Charged Off', 'Closed') as is_open,
            case status when 'Current' then 0 when 'In Arrears' then 1 + (i * 11) % 89 when 'Default' then 90 + (i * 13) % 70 end
                as days_past_due
        from drawn)
select loan_id, 'synthetic' as source_system, issue_month, issue_month + 10 as decision_date, purpose, state, grade, term_months,
    loan_amount, 0.06 + pd / 2 as interest_rate, (620 + (i * 29) % 200)::double as bureau_score, status, is_open,
    case when is_open then round(loan_amount * (1 - 0.5 * (i % 24) / 24.0), 2) else 0 end::decimal(18, 2) as balance,
    'panel' as balance_basis, days_past_due::int as days_past_due,
    case when days_past_due is null then null when days_past_due = 0 then 'Current' when days_past_due < 30 then '1-29'
        when days_past_due < 60 then '30-59' when days_past_due < 90 then '60-89' when days_past_due < 120 then '90-119'
        else '120+' end as dpd_bucket,
    date_diff('month', issue_month, date '{AS_OF}')::int as months_on_book,
    case when status = 'Default' then (date '{AS_OF}' - days_past_due::int + 90)
        when status = 'Charged Off' then last_day((issue_month + to_months(6 + i % 6))::date) end::date as default_date,
    case when not is_open then least(last_day((issue_month + to_months(8 + i % 6))::date), date '{AS_OF}') end as closed_date,
    issue_month < date '2025-07-01' as matured,
    case when issue_month < date '2025-07-01' then status in ('Default', 'Charged Off') end as is_bad, true as meets_credit_policy,
    pd, round(600 - 28.85 * ln(pd / (1 - pd) * 19), 1) as points,
    case when i % 50 = 49 then 'Not scored' when pd < 0.02 then 'Very Low' when pd < 0.05 then 'Low' when pd < 0.12 then 'Medium'
        when pd < 0.25 then 'High' else 'Very High' end as risk_band,
    case when is_open and i % 50 <> 49 then 'score-' || lpad(i::text, 4, '0') end as score_id,
    case when is_open and i % 50 <> 49 then date '{AS_OF}' end as scored_on,
    case when pd < 0.12 then 'approve' when pd < 0.25 then 'refer' else 'decline' end as decision,
    case when not is_open then null when days_past_due >= 30 then 'high' when pd > 0.2 then 'watch' else 'standard' end as watch_segment,
    case when days_past_due >= 30 then 'dpd_30' end as rule_ids, date '{AS_OF}' as as_of
from stated
"""


def portfolio_months(size: Size) -> str:
    return f"""
with months as (
        select last_day((date '{size.first_month}' + to_months(range::int))::date) as month_end from range({size.issue_months + 6})),
     open_then as (
        select m.month_end, l.*, l.closed_date is null or l.closed_date > m.month_end as open_now
        from months as m inner join gold.portfolio_loans as l on l.issue_month <= m.month_end)
select month_end, issue_month, purpose, risk_band, status,
    case when month_end = date '{AS_OF}' then dpd_bucket else 'Current' end as dpd_bucket, 'panel' as balance_basis,
    count(*) filter (where open_now) as loans,
    coalesce(sum(balance + (loan_amount - balance) * 0.5) filter (where open_now and month_end < date '{AS_OF}'), 0)::decimal(18, 2)
        + coalesce(sum(balance) filter (where open_now and month_end = date '{AS_OF}'), 0) as balance,
    coalesce(sum(days_past_due) filter (where open_now and month_end = date '{AS_OF}'), 0)::bigint as days_past_due_sum,
    count(*) filter (where last_day(issue_month) = month_end) as new_loans,
    count(*) filter (where last_day(default_date) = month_end) as new_defaults,
    count(*) filter (where closed_date = month_end) as closed_loans
from open_then where closed_date is null or closed_date >= month_end
group by all
"""


PORTFOLIO_DAILY = """
with days as (select unnest([date '2026-06-26', date '2026-06-27', date '2026-06-30']) as as_of)
select d.as_of, l.risk_band, count(*) as loans, sum(l.loan_amount) as amount_lent, avg(l.pd) as mean_pd,
    count(*) filter (where l.risk_band in ('High', 'Very High')) as high_risk_loans,
    count(*) filter (where l.decision = 'approve') as approve, count(*) filter (where l.decision = 'refer') as refer,
    count(*) filter (where l.decision = 'decline') as decline, 'bundle-sha' as bundle_sha
from days as d cross join gold.portfolio_loans as l where l.is_open and l.score_id is not null group by all
"""

DELINQUENCY_BUCKETS = """
select month_end, dpd_bucket, sum(loans)::bigint as loans, sum(balance)::decimal(18, 2) as balance,
    sum(loans) / sum(sum(loans)) over (partition by month_end) as share_of_loans,
    sum(balance)::double / nullif(sum(sum(balance)) over (partition by month_end), 0) as share_of_balance
from gold.portfolio_months group by month_end, dpd_bucket
"""

HIGH_RISK_LOANS = """
select loan_id, purpose, status, risk_band, pd, days_past_due, balance,
    concat_ws('; ', case when risk_band in ('High', 'Very High') then 'risk band ' || risk_band end,
        case when watch_segment = 'high' then 'early warning: high' end,
        case when days_past_due >= 30 then days_past_due || ' days past due' end) as reasons,
    rule_ids, score_id, issue_month, as_of
from gold.portfolio_loans
where is_open and (risk_band in ('High', 'Very High') or watch_segment = 'high' or days_past_due >= 30)
"""

DEFAULT_TREND = f"""
with months as (
        select month_end, issue_month, sum(loans) as open_loans, sum(new_defaults) as new_defaults,
            sum(loans) filter (where dpd_bucket is null or dpd_bucket not in ('90-119', '120+')) as performing_loans
        from gold.portfolio_months group by 1, 2),
     book as (
        select month_end, sum(open_loans)::bigint as open_loans, coalesce(sum(performing_loans), 0)::bigint as performing_loans,
            sum(new_defaults)::bigint as new_defaults
        from months group by 1),
     followed as (
        select b.*, y.performing_loans as performing_loans_12m_ago,
            (select sum(m.new_defaults) from months as m
             where m.month_end > y.month_end and m.month_end <= b.month_end and m.issue_month <= y.month_end)::bigint as defaults_12m
        from book as b left join book as y on y.month_end = last_day((b.month_end - interval 12 month)::date))
select month_end, open_loans, performing_loans, new_defaults, new_defaults / nullif(open_loans, 0) as monthly_default_rate,
    performing_loans_12m_ago, defaults_12m, defaults_12m / nullif(performing_loans_12m_ago, 0) as default_rate_12m,
    month_end < date '{AS_OF}' as complete
from followed
"""

VINTAGE_CURVES = f"""
with kinds as (select unnest(['month', 'quarter']) as cohort_kind), steps as (select range::int as months_on_book from range(1, 25)),
     loans as (
        select *, date_diff('month', issue_month, default_date) as default_mob from gold.portfolio_loans),
     cohorts as (
        select k.cohort_kind, date_trunc(k.cohort_kind, issue_month)::date as cohort, s.months_on_book, count(*) as loans,
            sum(loan_amount) as amount, max(issue_month) as last_month,
            count(*) filter (where default_mob <= s.months_on_book) as defaulted_loans,
            coalesce(sum(loan_amount) filter (where default_mob <= s.months_on_book), 0) as defaulted_amount
        from loans cross join kinds as k cross join steps as s group by all),
     judged as (select *, last_month + to_months(months_on_book) <= date '{AS_OF}' as matured from cohorts)
select cohort_kind, cohort, months_on_book, loans, amount, defaulted_loans, defaulted_amount,
    case when matured then defaulted_loans / loans end as default_rate,
    case when matured then defaulted_amount::double / amount::double end as default_rate_by_amount, matured
from judged
"""

STATES = "['Current', '1-29', '30-59', '60-89', '90-119', '120+', 'Charged Off', 'Prepaid/Closed']"

LOAN_TRANSITIONS = f"""
with months as (select range::int as m, last_day((date '2025-07-01' + to_months(range::int))::date) as month_end from range(12)),
     walked as (
        select m.month_end, l.*, (i.n * 7 + m.m * 5) % 20 as a, (i.n * 11 + m.m * 3) % 20 as b
        from months as m cross join gold.portfolio_loans as l
        inner join (select loan_id, row_number() over (order by loan_id) as n from gold.portfolio_loans) as i using (loan_id)
        where l.is_open),
     stated as (
        select *, case when a < 14 then 1 when a < 16 then 2 when a = 16 then 3 when a = 17 then 4 when a = 18 then 5 else 6 end as f
        from walked)
select month_end, {STATES}[f] as from_state,
    {STATES}[case when b < 13 then f when b < 16 then greatest(f - 1, 1) when b < 19 then least(f + 1, 7) else 8 end] as to_state,
    issue_month, purpose, risk_band, status, count(*) as loans, sum(balance) as balance
from stated group by all
"""

ROLL_RATES = f"""
with periods as (
        select 'latest month' as period, date '{AS_OF}' as month_end, * exclude (month_end) from gold.loan_transitions
        where month_end = date '{AS_OF}'
        union all select 'latest 12 months', date '{AS_OF}', * exclude (month_end) from gold.loan_transitions),
     summed as (
        select period, month_end, from_state, to_state, sum(loans)::bigint as loans, sum(balance) as balance from periods group by all),
     rated as (
        select *, loans / sum(loans) over (partition by period, from_state) as rate,
            balance::double / sum(balance) over (partition by period, from_state) as rate_by_balance,
            list_position({STATES}, from_state) as f, list_position({STATES}, to_state) as t
        from summed)
select period, month_end, from_state, to_state, loans, balance, rate, rate_by_balance,
    greatest(0, rate - 0.05) as low, least(1, rate + 0.05) as high,
    case when t >= 7 then 'exit' when t = f then 'stable' when t > f then 'forward' when t = 1 then 'cure' else 'back' end as direction
from rated
"""

ROLL_FORECAST = """
select * from (values ('Current', 0.06, 0.055, 150), ('1-29', 0.22, 0.25, 40), ('30-59', 0.45, 0.41, 20), ('60-89', 0.71, 0.74, 12))
    as t (from_state, forecast, realised, loans)
"""

APPROVALS = """
select (date '2026-06-01' + (n % 9 * 2)::int)::date as day, ['api', 'stream', 'portfolio'][1 + n % 3] as channel,
    ['approve', 'refer', 'decline', 'not scored'][1 + n % 4] as outcome, date '2026-06-01' as issue_month,
    ['Low', 'High'][1 + n % 2] as risk_band, 'Application' as status, 'car' as purpose, 10::bigint as applications,
    case when n % 4 = 3 then 0 else 10 end::bigint as decisions, (n % 2)::bigint as with_fraud_signal,
    case when n % 4 = 0 then 6 else 0 end::bigint as booked
from (select range as n from range(120))
"""

SCORE_DISTRIBUTION = """
with loans as (
        select 'all loans' as population, * from gold.portfolio_loans
        union all select 'open book', * from gold.portfolio_loans where is_open),
     binned as (
        select population, 'points' as kind, floor(points / 10) * 10 as bin_lower, 10.0 as width, issue_month, risk_band, status, purpose from loans
        union all select population, 'pd', floor(pd * 100) / 100, 0.01, issue_month, risk_band, status, purpose from loans)
select population, kind, bin_lower::double as bin_lower, (bin_lower + any_value(width))::double as bin_upper, issue_month, risk_band,
    status, purpose, count(*) as loans
from binned group by population, kind, bin_lower, issue_month, risk_band, status, purpose
"""

CONCENTRATION = """
with kinds as (
        select kind, segment, balance from gold.portfolio_loans
        cross join lateral (values ('state', state), ('purpose', purpose), ('grade', grade), ('risk_band', risk_band)) as t (kind, segment)
        where is_open),
     summed as (
        select kind, segment, sum(balance) as exposure, sum(balance)::double / sum(sum(balance)) over (partition by kind) as share,
            count(*) as loans from kinds group by kind, segment)
select *, 0.3 as limit_share, case when share > 0.3 then 'red' when share > 0.24 then 'amber' else 'green' end as light,
    sum(share * share) over (partition by kind) as hhi, row_number() over (partition by kind order by share desc) as rank
from summed
"""

FAIR_LENDING = """
select * from (values
    ('age_band', 'under 62', 240, false, true, 0.62, null, null, null, null, null, null, null),
    ('age_band', '62 and over', 130, false, false, 0.45, 0.73, 0.61, 0.88, true, 0.1, 0.02, 0.01),
    ('education', 'other', 60, true, false, null, null, null, null, null, null, null, null))
    as t (attribute, group_name, loans, suppressed, is_reference, selection_rate, air, air_low, air_high, below_four_fifths, smd_pd,
        false_positive_gap, false_negative_gap)
"""

LOAN_ECL = f"""
with staged as (
        select *, case when days_past_due >= 90 then 3 when days_past_due > 30 or pd > 0.3 then 2 else 1 end as stage,
            least(1, pd * 2.2) as pd_lifetime
        from gold.portfolio_loans where is_open)
select date '{AS_OF}' as as_of, loan_id, stage,
    case stage when 3 then '90 days past due' when 2 then 'significant increase in credit risk' else 'performing' end as stage_reason,
    pd as pd_12m, pd_lifetime, pd * 1.8 as pd_lifetime_at_origination, 0.62 as lgd, balance * 1.02 as ead,
    balance::double * pd * 0.62 as ecl_12m, balance::double * pd_lifetime * 0.62 as ecl_lifetime,
    balance::double * 0.62 * case stage when 1 then pd when 2 then pd_lifetime else 1 end as ecl,
    balance::double * pd_lifetime * 0.62 as ecl_cecl, interest_rate as eir, 'hazard-sha' as hazard_sha, 'lgd-sha' as lgd_sha,
    'scenario-sha' as scenario_sha, issue_month, purpose, risk_band, status, balance, days_past_due
from staged
"""

ECL_STAGE = """
select as_of, stage, risk_band, purpose, issue_month, status, count(*) as loans, sum(ead) as ead, sum(ecl) as ecl, sum(ecl_cecl) as ecl_cecl,
    sum(ecl) / nullif(sum(ead)::double, 0) as coverage
from gold.loan_ecl group by all
"""

ECL_WATERFALL = f"""
select date '{AS_OF}' as as_of, date '2026-05-31' as compared_with, * from (values
    (1, 'opening', 400000.0), (2, 'new business', 25000.0), (3, 'derecognised', -18000.0), (4, 'stage moves', 31000.0),
    (5, 'remeasurement', -9000.0), (6, 'PD model', 0.0), (7, 'LGD model', 4000.0), (8, 'scenario', 12000.0),
    (9, 'data restatement', 0.0), (10, 'closing', 445000.0)) as t (step_no, step, amount)
"""

STRESS_ECL = f"""
select s.scenario, date '{AS_OF}' as as_of, e.stage, e.purpose, e.risk_band, sum(e.loans)::bigint as loans, sum(e.ead) as ead, sum(e.ecl) * s.factor as ecl,
    'scenario-sha' as scenario_sha, s.peak as unemployment_peak
from gold.ecl_stage as e
cross join (values ('baseline', 1.0, 4.6), ('adverse', 1.4, 7.1), ('severely_adverse', 2.1, 10.0)) as s (scenario, factor, peak)
group by s.scenario, e.stage, e.purpose, e.risk_band, s.factor, s.peak
"""

OTHERS = {
    "gold.portfolio_daily": PORTFOLIO_DAILY,
    "gold.delinquency_buckets": DELINQUENCY_BUCKETS,
    "gold.high_risk_loans": HIGH_RISK_LOANS,
    "gold.default_trend": DEFAULT_TREND,
    "gold.vintage_curves": VINTAGE_CURVES,
    "gold.loan_transitions": LOAN_TRANSITIONS,
    "gold.roll_rates": ROLL_RATES,
    "gold.roll_forecast": ROLL_FORECAST,
    "gold.approvals": APPROVALS,
    "gold.score_distribution": SCORE_DISTRIBUTION,
    "gold.concentration": CONCENTRATION,
    "gold.fair_lending": FAIR_LENDING,
    "gold.loan_ecl": LOAN_ECL,
    "gold.ecl_stage": ECL_STAGE,
    "gold.ecl_waterfall": ECL_WATERFALL,
    "gold.stress_ecl": STRESS_ECL,
}


def tables(size: Size) -> dict[str, str]:
    """Name -> query, in an order in which later ones may read earlier ones."""
    return {"gold.portfolio_loans": portfolio_loans(size), "gold.portfolio_months": portfolio_months(size), **OTHERS}


TABLES = tables(Size())


def new_book(home: Path) -> Settings:
    """A home with those tables."""
    return fill(home, TABLES)


def fill(home: Path, queries: Mapping[str, str]) -> Settings:
    settings = Settings(_env_file=None, home=home)
    warehouse = DuckLakeWarehouse(settings.paths.warehouse)
    try:
        with warehouse.transaction() as transaction:
            for table, sql in queries.items():
                transaction.replace_table(table, Select(sql))
    finally:
        warehouse.close()
    return settings
