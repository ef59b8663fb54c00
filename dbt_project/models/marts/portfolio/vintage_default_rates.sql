{% set so_far = 'partition by ages.issue_month order by ages.months_on_book' %}
-- Cumulative default curves by vintage: the share of the loans (and of the money) of one issue month that had
-- defaulted by each month on book. A cell is shown only when the whole cohort has had that long.
with outcomes as (

    select * from {{ ref('loan_outcomes') }}
    where meets_credit_policy

),

cohorts as (

    select
        issue_month,
        cast(count(*) as bigint) as loans,
        cast(sum(loan_amount) as decimal(18, 2)) as amount,
        max(term_months) + {{ var('recognition_lag_months') }} as longest_life,
        datediff('month', issue_month, min({{ last_complete_month('observed_through') }}))
        - {{ var('recognition_lag_months') }} as observed_months
    from outcomes
    group by issue_month

),

months as (

    {{ integers(0, 240) }}

),

ages as (

    select
        cohorts.issue_month,
        cohorts.loans,
        cohorts.amount,
        months.age as months_on_book
    from cohorts
    inner join months
        on cohorts.observed_months >= months.age and cohorts.longest_life >= months.age

),

defaults as (

    select
        issue_month,
        greatest(datediff('month', issue_month, default_date), 0) as months_on_book,
        cast(count(*) as bigint) as loans,
        cast(sum(loan_amount) as decimal(18, 2)) as amount
    from outcomes
    where default_date is not null
    group by issue_month, greatest(datediff('month', issue_month, default_date), 0)

),

running as (

    select
        ages.issue_month,
        ages.months_on_book,
        ages.loans,
        ages.amount,
        cast(sum(coalesce(defaults.loans, 0)) over ({{ so_far }}) as bigint) as defaulted_loans,
        cast(sum(coalesce(defaults.amount, 0)) over ({{ so_far }}) as decimal(18, 2)) as defaulted_amount
    from ages
    left join defaults
        on ages.issue_month = defaults.issue_month and ages.months_on_book = defaults.months_on_book

),

rates as (

    select
        issue_month,
        cast(months_on_book as integer) as months_on_book,
        loans,
        amount,
        defaulted_loans,
        defaulted_amount,
        {{ ratio('defaulted_loans', 'loans') }} as default_rate,
        {{ ratio('defaulted_amount', 'amount') }} as default_rate_by_amount
    from running

)

select * from rates
