-- How money came and went on a customer's bank accounts before a decision: one row per customer and decision day for
-- which any booking is known. Alternative data; the registry is domain/feature_cashflow.py.
{{ config(tags=["alt_data"]) }}

with decisions as (

    select distinct
        subject_token,
        decision_date as as_of_date
    from {{ ref('int_applications') }}

),

-- A booking that was sent again counts once.
bookings as (

    select
        source_system,
        transaction_id,
        subject_token,
        booked_on,
        amount,
        category,
        balance_after
    from {{ source('bank', 'bank_transactions') }}
    where not is_pending
    qualify
        row_number() over (
            partition by source_system, transaction_id order by booked_on, booked_at, amount
        ) = 1

),

-- What is booked on the day of the decision may have been booked after it.
known as (

    select
        decisions.subject_token,
        decisions.as_of_date,
        bookings.booked_on,
        bookings.amount,
        bookings.category,
        bookings.balance_after
    from decisions
    inner join bookings
        on decisions.subject_token = bookings.subject_token and decisions.as_of_date > bookings.booked_on

),

histories as (

    select
        subject_token,
        as_of_date,
        min(booked_on) as first_booked_on
    from known
    group by subject_token, as_of_date

),

month_numbers as (

    {{ integers(1, 12) }}

),

month_bounds as (

    select
        histories.subject_token,
        histories.as_of_date,
        histories.first_booked_on,
        {{ months_after('histories.as_of_date', '-month_numbers.age') }} as starts_on,
        {{ months_after('histories.as_of_date', '1 - month_numbers.age') }} as ends_before
    from histories
    cross join month_numbers

),

monthly_incomes as (

    select
        month_bounds.subject_token,
        month_bounds.as_of_date,
        month_bounds.starts_on,
        cast(coalesce(sum(
            case when known.category in ('salary', 'income') and known.amount > 0 then known.amount end
        ), 0) as decimal(18, 2)) as income
    from month_bounds
    left join known
        on
            month_bounds.subject_token = known.subject_token
            and month_bounds.as_of_date = known.as_of_date
            and month_bounds.starts_on <= known.booked_on
            and month_bounds.ends_before > known.booked_on
    where month_bounds.starts_on >= month_bounds.first_booked_on
    group by month_bounds.subject_token, month_bounds.as_of_date, month_bounds.starts_on

),

-- Sums of decimals are exact in any order, so batch and online agree to the last bit.
incomes as (

    select
        subject_token,
        as_of_date,
        cast(count(*) as double) as months,
        cast(sum(case when income > 0 then 1 else 0 end) as double) as months_with_income,
        cast(sum(income) as double) as total,
        cast(sum(income * income) as double) as total_of_squares
    from monthly_incomes
    group by subject_token, as_of_date

),

income_spreads as (

    select
        *,
        case
            when months * total_of_squares > total * total then months * total_of_squares - total * total
            else 0
        end as squared_spread
    from incomes

),

year_sums as (

    select
        subject_token,
        as_of_date,
        cast(sum(case when category in ('returned_payment', 'overdraft') then 1 else 0 end) as double) as nsf_count,
        cast(count(distinct case when balance_after < 0 then booked_on end) as double) as negative_days,
        count(balance_after) as balances,
        cast(sum(case when amount > 0 and category <> 'returned_payment' then amount end) as double) as inflow,
        cast(sum(case when amount < 0 and category <> 'returned_payment' then -amount else 0 end) as double) as outflow
    from known
    where booked_on >= {{ months_after('as_of_date', '-12') }}
    group by subject_token, as_of_date

),

features as (

    select
        histories.subject_token,
        histories.as_of_date,
        coalesce(incomes.months, cast(0 as double)) as cf_months_of_history,
        incomes.total / incomes.months as cf_monthly_income,
        case
            when incomes.months >= 3 and incomes.total > 0 then sqrt(incomes.squared_spread) / incomes.total
        end as cf_income_cv,
        incomes.months_with_income / incomes.months as cf_income_month_share,
        coalesce(year_sums.nsf_count, cast(0 as double)) as cf_nsf_count_12m,
        case when year_sums.balances > 0 then year_sums.negative_days end as cf_negative_days_12m,
        year_sums.outflow / year_sums.inflow as cf_outflow_to_inflow
    from histories
    left join income_spreads as incomes
        on histories.subject_token = incomes.subject_token and histories.as_of_date = incomes.as_of_date
    left join year_sums
        on histories.subject_token = year_sums.subject_token and histories.as_of_date = year_sums.as_of_date

)

select * from features
