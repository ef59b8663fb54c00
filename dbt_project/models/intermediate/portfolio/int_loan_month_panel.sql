{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='loan_id',
    on_schema_change='fail',
    post_hook="delete from {{ this }} where loan_id not in (select loan_id from {{ active_loans() }})"
) }}
{% set so_far = 'partition by spine.loan_id order by spine.month_end' %}
-- Each loan at each month end, as the platform saw it then: a payment counts from the day it was known, not from the
-- day it was made. Payments cure the oldest unpaid instalment first.
-- Incremental: a loan is rebuilt, all its months, when it was landed again or anything new is known of its payments.
with news as (

    select
        loan_id,
        max(known_at) as latest_news_at
    from {{ ref('stg_synthetic__repayments') }}
    where {{ in_slice('loan_id', active_loans()) }}
    group by loan_id

),

landed as (

    select
        active.loan_id,
        active.issue_month,
        active.loan_amount,
        active.loan_status,
        active.closed_date,
        active.observed_through,
        active._batch,
        news.latest_news_at
    from {{ active_loans() }} as active
    inner join news on active.loan_id = news.loan_id

),

loans as (

    select * from landed
    {% if is_incremental() %}
        where not exists (
            select 1
            from {{ this }} as built
            where
                landed.loan_id = built.loan_id
                and landed._batch = built._batch
                and landed.latest_news_at = built.latest_news_at
        )
    {% endif %}

),

instalments as (

    select
        repayments.loan_id,
        repayments.instalment_number,
        repayments.due_date,
        repayments.amount_due,
        repayments.amount_paid,
        repayments.principal_paid,
        case when repayments.paid_date is not null then {{ later_of(
            'repayments.paid_date', 'cast(repayments.known_at as date)'
        ) }} end as known_date,
        coalesce(repayments.paid_date <= repayments.due_date, false) as paid_on_time,
        datediff('day', {{ months_after('repayments.due_date', -1) }}, repayments.paid_date) as days_to_pay
    from {{ ref('stg_synthetic__repayments') }} as repayments
    inner join loans on repayments.loan_id = loans.loan_id
    where {{ in_slice('repayments.loan_id', active_loans()) }}

),

{{ repayment_event_ctes('instalments') }}

monthly as (

    select
        loan_id,
        month_end,
        cast(sum(amount_due) as decimal(18, 2)) as amount_due,
        cast(sum(amount_paid) as decimal(18, 2)) as amount_paid,
        cast(sum(principal_paid) as decimal(18, 2)) as principal_paid,
        cast(sum(instalments_due) as bigint) as instalments_due,
        cast(sum(instalments_on_time) as bigint) as instalments_on_time,
        cast(sum(instalments_late) as bigint) as instalments_late,
        cast(sum(payments) as bigint) as payments,
        cast(sum(days_to_pay) as bigint) as days_to_pay,
        cast(sum(days_to_pay_squared) as bigint) as days_to_pay_squared,
        max(known_date) as known_date
    from events
    group by loan_id, month_end

),

-- From the first due month to the last complete month the source knows of, or to the month the loan left the book.
spans as (

    select
        loans.loan_id,
        min(monthly.month_end) as first_month,
        max({{ last_complete_month('loans.observed_through') }}) as last_complete_month,
        last_day(max(loans.closed_date)) as closing_month,
        max(monthly.month_end) as last_event_month
    from loans
    inner join monthly on loans.loan_id = monthly.loan_id
    group by loans.loan_id

),

lives as (

    select
        loan_id,
        first_month,
        case
            when closing_month is null then last_complete_month
            else least(last_complete_month, greatest(closing_month, last_event_month))
        end as last_month
    from spans

),

spine as (

    select
        lives.loan_id,
        {{ month_of_spine('months', 'lives.first_month') }} as month_end
    from lives
    {{ month_spine('lives.first_month', 'lives.last_month', 'months') }}

),

running as (

    select
        spine.loan_id,
        spine.month_end,
        coalesce(monthly.amount_due, 0) as amount_due,
        coalesce(monthly.amount_paid, 0) as amount_paid,
        coalesce(monthly.principal_paid, 0) as principal_paid,
        coalesce(monthly.instalments_due, 0) as instalments_due,
        coalesce(monthly.instalments_on_time, 0) as instalments_on_time,
        coalesce(monthly.instalments_late, 0) as instalments_late,
        coalesce(monthly.payments, 0) as payments,
        coalesce(monthly.days_to_pay, 0) as days_to_pay,
        coalesce(monthly.days_to_pay_squared, 0) as days_to_pay_squared,
        cast(sum(monthly.amount_due) over ({{ so_far }}) as decimal(18, 2)) as due_to_date,
        cast(sum(monthly.amount_paid) over ({{ so_far }}) as decimal(18, 2)) as paid_to_date,
        cast(sum(monthly.principal_paid) over ({{ so_far }}) as decimal(18, 2)) as principal_to_date,
        max(monthly.known_date) over ({{ so_far }}) as latest_known_date
    from spine
    left join monthly on spine.loan_id = monthly.loan_id and spine.month_end = monthly.month_end

),

-- Few rows are behind: only they look for their oldest unpaid instalment.
behind as (

    select * from running
    where paid_to_date < due_to_date

),

schedule as (

    select
        loan_id,
        due_date,
        cast(sum(amount_due) over (
            partition by loan_id
            order by due_date, instalment_number
        ) as decimal(18, 2)) as due_to_here
    from instalments
    where loan_id in (select behind.loan_id from behind)

),

arrears as (

    select
        behind.loan_id,
        behind.month_end,
        datediff('day', schedule.due_date, behind.month_end) as days_past_due
    from behind
    {{ asof_left_join(
        'schedule', 'schedule', 'behind.paid_to_date < schedule.due_to_here',
        ['behind.loan_id = schedule.loan_id']
    ) }}

),

aged as (

    select
        running.*,
        loans.issue_month,
        loans.loan_amount,
        loans.loan_status,
        loans.closed_date,
        loans.observed_through,
        loans._batch,
        loans.latest_news_at,
        cast(loans.loan_amount - running.principal_to_date as decimal(18, 2)) as balance,
        cast(coalesce(arrears.days_past_due, 0) as integer) as days_past_due
    from running
    inner join loans on running.loan_id = loans.loan_id
    left join arrears on running.loan_id = arrears.loan_id and running.month_end = arrears.month_end

),

panel as (

    select
        loan_id,
        month_end,
        cast(datediff('month', issue_month, month_end) as integer) as months_on_book,
        amount_due,
        amount_paid,
        principal_paid,
        due_to_date,
        paid_to_date,
        cast(balance + principal_paid as decimal(18, 2)) as opening_balance,
        balance,
        loan_amount as original_amount,
        days_past_due,
        {{ band_of('days_past_due', var('dpd_buckets')) }} as dpd_bucket,
        case
            when loan_status = 'Charged Off' and closed_date <= month_end then 'Charged Off'
            when balance <= 0 then 'Closed'
            when days_past_due >= 90 then 'Default'
            when days_past_due >= 1 then 'In Arrears'
            else 'Current'
        end as status,
        instalments_due,
        instalments_on_time,
        instalments_late,
        payments,
        days_to_pay,
        days_to_pay_squared,
        latest_known_date,
        observed_through,
        _batch,
        latest_news_at
    from aged

)

select * from panel
