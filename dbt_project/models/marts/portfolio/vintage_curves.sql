{% set so_far = 'partition by cells.cohort_kind, cells.cohort order by cells.months_on_book' %}
-- Cumulative default curves by month and by quarter of issue: the share of a cohort's loans (and of its money) that
-- had defaulted by each month on book. A cell is empty until the whole cohort has had that long.
with outcomes as (

    select
        *,
        case
            when default_date is not null then greatest(datediff('month', issue_month, default_date), 0)
        end as default_month
    from {{ ref('loan_outcomes') }}
    where meets_credit_policy

),

issued as (

    select
        issue_month,
        cast(count(*) as bigint) as loans,
        cast(sum(loan_amount) as decimal(18, 2)) as amount,
        -- a few pay on beyond their term, and default then
        greatest(
            max(term_months) + {{ var('recognition_lag_months') }}, coalesce(max(default_month), 0)
        ) as longest_life,
        datediff('month', issue_month, min({{ last_complete_month('observed_through') }}))
        - {{ var('recognition_lag_months') }} as observed_months
    from outcomes
    group by issue_month

),

defaults as (

    select
        issue_month,
        default_month as months_on_book,
        cast(count(*) as bigint) as loans,
        cast(sum(loan_amount) as decimal(18, 2)) as amount
    from outcomes
    where default_month is not null
    group by issue_month, default_month

),

-- Each month of issue is a cohort and belongs to the one of its quarter.
memberships as (

    select
        'month' as cohort_kind,
        issue_month as cohort,
        issue_month
    from issued

    union all

    select
        'quarter' as cohort_kind,
        cast(date_trunc('quarter', issue_month) as date) as cohort,
        issue_month
    from issued

),

cohorts as (

    select
        memberships.cohort_kind,
        memberships.cohort,
        cast(sum(issued.loans) as bigint) as loans,
        cast(sum(issued.amount) as decimal(18, 2)) as amount,
        max(issued.longest_life) as longest_life,
        min(issued.observed_months) as observed_months
    from memberships
    inner join issued on memberships.issue_month = issued.issue_month
    group by memberships.cohort_kind, memberships.cohort

),

cohort_defaults as (

    select
        memberships.cohort_kind,
        memberships.cohort,
        defaults.months_on_book,
        cast(sum(defaults.loans) as bigint) as loans,
        cast(sum(defaults.amount) as decimal(18, 2)) as amount
    from memberships
    inner join defaults on memberships.issue_month = defaults.issue_month
    group by memberships.cohort_kind, memberships.cohort, defaults.months_on_book

),

months as (

    {{ integers(0, 240) }}

),

cells as (

    select
        cohorts.cohort_kind,
        cohorts.cohort,
        cohorts.loans,
        cohorts.amount,
        cast(months.age as integer) as months_on_book,
        cohorts.observed_months >= months.age as matured
    from cohorts
    inner join months on cohorts.longest_life >= months.age

),

running as (

    select
        cells.*,
        cast(sum(coalesce(found.loans, 0)) over ({{ so_far }}) as bigint) as loans_so_far,
        cast(sum(coalesce(found.amount, 0)) over ({{ so_far }}) as decimal(18, 2)) as amount_so_far
    from cells
    left join cohort_defaults as found
        on
            cells.cohort_kind = found.cohort_kind
            and cells.cohort = found.cohort
            and cells.months_on_book = found.months_on_book

),

seasoned as (

    select
        cohort_kind,
        cohort,
        months_on_book,
        loans,
        amount,
        matured,
        case when matured then loans_so_far end as defaulted_loans,
        case when matured then amount_so_far end as defaulted_amount
    from running

),

rates as (

    select
        cohort_kind,
        cohort,
        months_on_book,
        loans,
        amount,
        defaulted_loans,
        defaulted_amount,
        {{ ratio('defaulted_loans', 'loans') }} as default_rate,
        {{ ratio('defaulted_amount', 'amount') }} as default_rate_by_amount,
        matured
    from seasoned

)

select * from rates
