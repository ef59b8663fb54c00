"""Applications and decisions, spread of scores, concentration, fair lending."""

FUNNEL = """
with sums as (
    select
        sum(applications) as applications, sum(decisions) as scored, sum(booked) as booked,
        sum(case when outcome = 'approve' then decisions else 0 end) as approved,
        sum(case when outcome = 'refer' then decisions else 0 end) as referred,
        sum(case when outcome = 'decline' then decisions else 0 end) as declined,
        sum(with_fraud_signal) as with_fraud_signal
    from gold.approvals where {where}
)

select 1 as place, 'Applications' as step, applications, with_fraud_signal as of_them from sums
union all select 2, 'Scored', scored, referred from sums
union all select 3, 'Approved', approved, declined from sums
union all select 4, 'Booked', booked, null from sums
order by place
"""

DAYS = """
select cast(date_trunc('{step}', day) as date) as day, outcome, sum(decisions) as decisions
from gold.approvals where {where} and outcome <> 'not scored'
group by cast(date_trunc('{step}', day) as date), outcome order by day, outcome
"""

CHANNELS = """
select channel, outcome, sum(decisions) as decisions
from gold.approvals where {where} and outcome <> 'not scored'
group by channel, outcome order by channel, outcome
"""

REASONS = """
with asked as (
    select
        decided.score_id, decided.reason_texts, decided.band as risk_band,
        coalesce(loans.issue_month, cast(date_trunc('month', decided.as_of) as date)) as issue_month,
        coalesce(loans.status, 'Application') as status, coalesce(loans.purpose, 'unknown') as purpose
    from gold.decisions as decided
    left join gold.portfolio_loans as loans on decided.loan_id = loans.loan_id
    where decided.outcome = 'decline'
),

chosen as (select * from asked where {where}),

told as (select distinct score_id, unnest(reason_texts) as reason from chosen)

select reason, count(*) as declines, count(*) / (select count(*) from chosen) as share
from told group by reason order by declines desc, reason limit ?
"""

SCORES = """
select kind, bin_lower, bin_upper, sum(loans) as loans
from gold.score_distribution where population = ? and {where}
group by kind, bin_lower, bin_upper order by kind, bin_lower
"""

BANDS = """
select risk_band, sum(loans) as loans
from gold.score_distribution where population = ? and kind = 'pd' and {where}
group by risk_band
"""

CONCENTRATION = """
select segment, cast(exposure as double) as exposure, share, loans, limit_share, light, hhi
from gold.concentration where kind = ? order by share desc, segment
"""

FAIR = """
select attribute, group_name, group_name || ' (' || replace(attribute, '_', ' ') || ')' as label, loans,
    suppressed, is_reference, selection_rate, air, air_low, air_high, below_four_fifths, smd_pd,
    false_positive_gap, false_negative_gap
from gold.fair_lending order by attribute, is_reference desc, group_name
"""
