-- How each loan ended, judged over its performance window and only once its cohort could have ended.
-- LendingClub publishes no default date: the last payment (or the issue month) plus the recognition lag stands for it.
{% set lag = var('recognition_lag_months') %}

with loans as (

    select
        *,
        case
            when loan_status in ('Charged Off', 'Default')
                then {{ months_after('coalesce(last_payment_month, issue_month)', lag) }}
        end as approximate_default_date
    from {{ active_loans() }}

),

seriously_late as (

    select
        loan_id,
        min(month_end) as first_90_dpd
    from {{ ref('int_loan_month_panel') }}
    where days_past_due >= 90
    group by loan_id

),

dated as (

    select
        loans.loan_id,
        loans.source_system,
        coalesce(loans.application_date, loans.issue_month) as decision_date,
        loans.issue_month,
        loans.term_months,
        loans.loan_amount,
        least(
            coalesce(loans.default_date, loans.approximate_default_date, seriously_late.first_90_dpd),
            coalesce(seriously_late.first_90_dpd, loans.default_date, loans.approximate_default_date)
        ) as default_date,
        coalesce(
            loans.closed_date,
            case when loans.loan_status in ('Fully Paid', 'Charged Off') then loans.last_payment_month end
        ) as closed_date,
        loans.observed_through,
        loans.meets_credit_policy,
        {{ months_after('loans.issue_month', performance_window_months('loans.term_months') ~ ' + ' ~ lag) }}
        <= loans.observed_through as matured
    from loans
    left join seriously_late on loans.loan_id = seriously_late.loan_id

),

judged as (

    select
        *,
        {{ defaulted_in_window('default_date', 'issue_month') }} as defaulted
    from dated

),

outcomes as (

    select
        loan_id,
        source_system,
        decision_date,
        issue_month,
        cast(term_months as integer) as term_months,
        cast(loan_amount as decimal(18, 2)) as loan_amount,
        default_date,
        closed_date,
        observed_through,
        matured,
        case
            when not matured then 'immature'
            when defaulted then 'bad'
            else 'good'
        end as outcome,
        case when matured then defaulted end as is_bad,
        meets_credit_policy
    from judged

)

select * from outcomes
