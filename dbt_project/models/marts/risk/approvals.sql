{% set keys = [
    'day', 'channel', 'policy_version', 'outcome', 'route', 'issue_month', 'risk_band', 'status', 'purpose'
] %}
-- From application to loan: what was asked, what was scored, what the policy said, and what came on the book. Two
-- populations that are never added up: applications that were decided (api, stream), and every loan of the book judged
-- at its application by the policy in force (portfolio), which is a measurement and no decision.
with received as (

    select
        *,
        row_number() over (
            partition by loan_id
            order by received_at desc nulls last
        ) as latest
    from {{ source('platform', 'applications_received') }}

),

asked as (

    select * from received
    where latest = 1

),

decided as (

    select
        decisions.loan_id,
        decisions.as_of as day,
        decisions.channel,
        decisions.policy_version,
        decisions.outcome,
        decisions.route,
        decisions.band as risk_band,
        decisions.pd,
        case when {{ entries('decisions.fraud_signals') }} > 0 then 1 else 0 end as with_fraud_signal
    from {{ source('platform', 'decisions') }} as decisions

),

-- Scored or not, every application that came in.
applications as (

    select
        coalesce(decided.day, cast(asked.received_at as date)) as day,
        coalesce(decided.channel, asked.channel) as channel,
        decided.policy_version,
        coalesce(decided.outcome, 'not scored') as outcome,
        decided.route,
        loans.issue_month,
        decided.risk_band,
        coalesce(loans.status, 'Application') as status,
        coalesce(loans.purpose, asked.purpose) as purpose,
        coalesce(loans.loan_amount, asked.loan_amount) as loan_amount,
        decided.pd,
        case when decided.loan_id is not null then 1 else 0 end as is_scored,
        coalesce(decided.with_fraud_signal, 0) as with_fraud_signal,
        case when loans.loan_id is not null then 1 else 0 end as is_booked
    from decided
    full outer join asked on decided.loan_id = asked.loan_id
    left join {{ ref('portfolio_loans') }} as loans on coalesce(decided.loan_id, asked.loan_id) = loans.loan_id

),

book as (

    select
        loans.decision_date as day,
        'portfolio' as channel,
        scores.policy_version,
        coalesce(scores.decision, 'not scored') as outcome,
        cast(null as varchar) as route,
        loans.issue_month,
        scores.risk_band,
        loans.status,
        loans.purpose,
        loans.loan_amount,
        scores.pd,
        case when scores.loan_id is not null then 1 else 0 end as is_scored,
        0 as with_fraud_signal,
        1 as is_booked
    from {{ ref('portfolio_loans') }} as loans
    left join {{ source('platform', 'origination_scores') }} as scores on loans.loan_id = scores.loan_id

),

everything as (

    select * from applications
    union all
    select * from book

),

keyed as (

    select
        day,
        channel,
        coalesce(policy_version, 'none') as policy_version,
        outcome,
        coalesce(route, 'none') as route,
        coalesce(issue_month, cast(date_trunc('month', day) as date)) as issue_month,
        coalesce(risk_band, 'Not scored') as risk_band,
        status,
        coalesce(purpose, 'unknown') as purpose,
        loan_amount,
        pd,
        is_scored,
        with_fraud_signal,
        is_booked
    from everything

),

approvals as (

    select
        {{ keys | join(',\n        ') }},
        cast(count(*) as bigint) as applications,
        cast(sum(is_scored) as bigint) as decisions,
        cast(sum(loan_amount) as decimal(18, 2)) as amount,
        avg(pd) as mean_pd,
        cast(sum(with_fraud_signal) as bigint) as with_fraud_signal,
        cast(sum(is_booked) as bigint) as booked,
        cast(0 as bigint) as overridden
    from keyed
    group by {{ keys | join(', ') }}

)

select * from approvals
