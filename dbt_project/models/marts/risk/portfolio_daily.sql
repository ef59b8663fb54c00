-- What each day's scoring found: one row per day and risk band.
with scores as (

    select * from {{ source('platform', 'portfolio_scores') }}

),

daily as (

    select
        scores.as_of,
        scores.band as risk_band,
        cast(count(*) as bigint) as loans,
        cast(sum(loans.loan_amount) as decimal(18, 2)) as amount_lent,
        avg(scores.pd) as mean_pd,
        cast(count(case when scores.band in ('High', 'Very High') then 1 end) as bigint) as high_risk_loans,
        cast(count(case when scores.decision = 'approve' then 1 end) as bigint) as approve,
        cast(count(case when scores.decision = 'refer' then 1 end) as bigint) as refer,
        cast(count(case when scores.decision = 'decline' then 1 end) as bigint) as decline,
        max(scores.bundle_sha) as bundle_sha
    from scores
    left join {{ ref('loan_outcomes') }} as loans on scores.loan_id = loans.loan_id
    group by scores.as_of, scores.band

)

select * from daily
