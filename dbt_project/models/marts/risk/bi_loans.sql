{{ config(materialized='view') }}
-- One wide row per loan for tools that join nothing: no list, no token, no name.
with loans as (

    select * from {{ ref('portfolio_loans') }}

),

wide as (

    select
        loans.as_of,
        loans.loan_id,
        loans.source_system,
        loans.issue_month,
        cast(date_trunc('quarter', loans.issue_month) as date) as issue_quarter,
        loans.decision_date,
        loans.purpose,
        loans.grade,
        loans.term_months,
        loans.loan_amount,
        loans.interest_rate,
        features.annual_income,
        features.dti,
        features.home_ownership,
        features.employment_type,
        features.verification_status,
        loans.bureau_score,
        features.score_band as bureau_score_band,
        loans.status,
        loans.is_open,
        loans.balance,
        loans.days_past_due,
        loans.dpd_bucket,
        loans.months_on_book,
        outcomes.outcome,
        loans.matured,
        loans.is_bad,
        loans.default_date,
        loans.closed_date,
        loans.meets_credit_policy,
        origination.pd as pd_at_application,
        origination.risk_band as risk_band_at_application,
        origination.decision as policy_decision,
        loans.pd,
        loans.points,
        loans.risk_band,
        loans.score_id,
        loans.scored_on,
        loans.watch_segment,
        loans.rule_ids
    from loans
    left join {{ ref('application_features') }} as features on loans.loan_id = features.loan_id
    left join {{ ref('loan_outcomes') }} as outcomes on loans.loan_id = outcomes.loan_id
    left join {{ source('platform', 'origination_scores') }} as origination on loans.loan_id = origination.loan_id

)

select * from wide
