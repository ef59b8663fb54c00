{{ config(materialized='table') }}
-- What the loan rules look at, for every loan open on two days: the last day the book knows of, and a month end far
-- enough before it that what became of those loans is known by now. Nothing here was learnt after evaluated_on.
{% set back = var('early_warning_horizon_months') + var('recognition_lag_months') %}
with outcomes as (

    select * from {{ ref('loan_outcomes') }}

),

book as (

    select max(observed_through) as as_of
    from outcomes

),

days as (

    select
        as_of as evaluated_on,
        true as is_current
    from book

    union all

    select
        last_day({{ months_after(last_complete_month('as_of'), -back) }}) as evaluated_on,
        false as is_current
    from book

),

-- Open is what scoring calls open: decided by that day, and neither defaulted nor closed on it.
open_loans as (

    select
        days.evaluated_on,
        days.is_current,
        outcomes.loan_id,
        outcomes.loan_amount
    from outcomes
    cross join days
    where
        outcomes.decision_date <= days.evaluated_on
        and coalesce(outcomes.default_date > days.evaluated_on, true)
        and coalesce(outcomes.closed_date > days.evaluated_on, true)

),

histories as (

    select
        open_loans.evaluated_on,
        open_loans.loan_id,
        max(panel.month_end) as observed_month,
        max(case when panel.instalments_due > 0 then panel.month_end end) as instalment_month,
        min(nullif(panel.due_to_date, 0)) as first_instalment,
        sum(panel.instalments_late) as instalments_missed
    from open_loans
    inner join {{ ref('int_loan_month_panel') }} as panel
        on open_loans.loan_id = panel.loan_id and open_loans.evaluated_on >= panel.month_end
    group by open_loans.evaluated_on, open_loans.loan_id

),

observed as (

    select
        histories.evaluated_on,
        histories.loan_id,
        histories.observed_month,
        latest.days_past_due,
        latest.balance,
        -- payments settle the oldest instalment first: while the first is unpaid, all that were missed are the first
        case
            when latest.paid_to_date < histories.first_instalment then histories.instalments_missed
            else 0
        end as first_instalments_missed,
        {{ ratio('billed.amount_due', 'billed.instalments_due') }} as instalment
    from histories
    inner join {{ ref('int_loan_month_panel') }} as latest
        on histories.loan_id = latest.loan_id and histories.observed_month = latest.month_end
    left join {{ ref('int_loan_month_panel') }} as billed
        on histories.loan_id = billed.loan_id and histories.instalment_month = billed.month_end

),

-- A source without repayments may still publish how late a loan is, to within a bracket.
published as (

    select
        loan_id,
        outstanding_principal,
        {{ published_days_past_due_from('loan_status') }} as days_past_due_from,
        {{ published_days_past_due_to('loan_status') }} as days_past_due_to
    from {{ active_loans() }}

),

inputs as (

    select
        open_loans.evaluated_on,
        open_loans.is_current,
        open_loans.loan_id,
        features.subject_token,
        features.decision_date,
        features.purpose,
        features.dti,
        features.revolving_utilisation,
        features.delinq_2y,
        features.inquiries_6m,
        observed.observed_month,
        coalesce(
            observed.days_past_due, case when open_loans.is_current then published.days_past_due_from end
        ) as days_past_due_from,
        coalesce(
            observed.days_past_due, case when open_loans.is_current then published.days_past_due_to end
        ) as days_past_due_to,
        cast(observed.first_instalments_missed as integer) as first_instalments_missed,
        {{ ratio('observed.instalment', 'features.monthly_income') }} as instalment_to_income,
        {{ ratio('offers.instalment_billed', 'features.monthly_income') }} as instalment_to_income_at_decision,
        cast(
            coalesce(
                observed.balance,
                case when open_loans.is_current then published.outstanding_principal end,
                open_loans.loan_amount
            ) as decimal(18, 2)
        ) as exposure,
        case
            when observed.balance is not null then 'balance at the latest month end'
            when open_loans.is_current and published.outstanding_principal is not null then 'published principal'
            else 'amount lent'
        end as exposure_basis
    from open_loans
    inner join {{ ref('application_features') }} as features on open_loans.loan_id = features.loan_id
    inner join {{ ref('loan_offers') }} as offers on open_loans.loan_id = offers.loan_id
    inner join published on open_loans.loan_id = published.loan_id
    left join observed
        on open_loans.loan_id = observed.loan_id and open_loans.evaluated_on = observed.evaluated_on

)

select * from inputs
