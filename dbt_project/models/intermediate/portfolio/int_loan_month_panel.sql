{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='loan_id',
    on_schema_change='fail',
    post_hook="delete from {{ this }} where loan_id not in (select loan_id from {{ active_loans() }})"
) }}
-- Each loan at each month end, as the platform saw it then: a payment counts from the day it was known, not from the
-- day it was made. Payments cure the oldest unpaid instalment first.
-- Incremental: a loan is rebuilt, all its months, when it was landed again; its landing batch tells.
with loans as (

    select
        loan_id,
        issue_month,
        loan_amount,
        loan_status,
        closed_date,
        observed_through,
        _batch
    from {{ active_loans() }} as active
    {% if is_incremental() %}
    where not exists (
        select 1 from {{ this }} as built
        where built.loan_id = active.loan_id and built._batch = active._batch
    )
    {% endif %}

),

instalments as (

    select
        repayments.loan_id,
        repayments.due_date,
        repayments.paid_date,
        repayments.amount_due,
        repayments.amount_paid,
        repayments.principal_paid,
        case
            when repayments.paid_date is null then null
            when cast(repayments.known_at as date) > repayments.paid_date then cast(repayments.known_at as date)
            else repayments.paid_date
        end as known_date,
        cast(sum(repayments.amount_due) over (
            partition by repayments.loan_id
            order by repayments.due_date, repayments.instalment_number
        ) as decimal(18, 2)) as due_to_here
    from {{ ref('stg_synthetic__repayments') }} as repayments
    inner join loans on repayments.loan_id = loans.loan_id

),

-- An instalment turns late on the day after it was due, unless a payment on time is known by that month's end.
judged as (

    select
        *,
        last_day(due_date) as due_month,
        last_day(known_date) as known_month,
        last_day(cast(due_date + interval '1 day' as date)) as late_month,
        coalesce(paid_date <= due_date, false) as paid_on_time,
        datediff('day', {{ months_after('due_date', -1) }}, paid_date) as days_to_pay
    from instalments

),

events as (

    select
        loan_id,
        due_month as month_end,
        amount_due,
        cast(0 as decimal(18, 2)) as amount_paid,
        cast(0 as decimal(18, 2)) as principal_paid,
        1 as instalments_due,
        0 as instalments_on_time,
        0 as instalments_late,
        0 as payments,
        0 as days_to_pay,
        0 as days_to_pay_squared,
        cast(null as date) as known_date
    from judged

    union all

    select
        loan_id,
        known_month as month_end,
        0 as amount_due,
        amount_paid,
        principal_paid,
        0 as instalments_due,
        case when paid_on_time then 1 else 0 end as instalments_on_time,
        -- it had been called late before the platform learnt that it was not
        case when paid_on_time and known_month > late_month then -1 else 0 end as instalments_late,
        1 as payments,
        days_to_pay,
        days_to_pay * days_to_pay as days_to_pay_squared,
        known_date
    from judged
    where known_month is not null

    union all

    select
        loan_id,
        late_month as month_end,
        0 as amount_due,
        0 as amount_paid,
        0 as principal_paid,
        0 as instalments_due,
        0 as instalments_on_time,
        1 as instalments_late,
        0 as payments,
        0 as days_to_pay,
        0 as days_to_pay_squared,
        cast(null as date) as known_date
    from judged
    where not paid_on_time or known_month > late_month

),

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
        case
            when max(loans.closed_date) is null
                then max({{ last_complete_month('loans.observed_through') }})
            else least(
                max({{ last_complete_month('loans.observed_through') }}),
                greatest(last_day(max(loans.closed_date)), max(monthly.month_end))
            )
        end as last_month
    from loans
    inner join monthly on loans.loan_id = monthly.loan_id
    group by loans.loan_id

),

spine as (

    select
        spans.loan_id,
        months.month_end
    from spans
    {{ month_spine('spans.first_month', 'spans.last_month', 'months') }}

),

running as (

    select
        spine.loan_id,
        spine.month_end,
        loans.issue_month,
        loans.loan_amount,
        loans.loan_status,
        loans.closed_date,
        loans.observed_through,
        loans._batch,
        coalesce(monthly.amount_due, 0) as amount_due,
        coalesce(monthly.amount_paid, 0) as amount_paid,
        coalesce(monthly.principal_paid, 0) as principal_paid,
        coalesce(monthly.instalments_due, 0) as instalments_due,
        coalesce(monthly.instalments_on_time, 0) as instalments_on_time,
        coalesce(monthly.instalments_late, 0) as instalments_late,
        coalesce(monthly.payments, 0) as payments,
        coalesce(monthly.days_to_pay, 0) as days_to_pay,
        coalesce(monthly.days_to_pay_squared, 0) as days_to_pay_squared,
        cast(sum(monthly.amount_due) over so_far as decimal(18, 2)) as due_to_date,
        cast(coalesce(sum(monthly.amount_paid) over so_far, 0) as decimal(18, 2)) as paid_to_date,
        cast(
            loans.loan_amount - coalesce(sum(monthly.principal_paid) over so_far, 0) as decimal(18, 2)
        ) as balance,
        max(monthly.known_date) over so_far as latest_known_date
    from spine
    inner join loans on spine.loan_id = loans.loan_id
    left join monthly on spine.loan_id = monthly.loan_id and spine.month_end = monthly.month_end
    window so_far as (partition by spine.loan_id order by spine.month_end)

),

-- Few rows are behind: only they look for their oldest unpaid instalment.
arrears as (

    select
        behind.loan_id,
        behind.month_end,
        datediff('day', instalments.due_date, behind.month_end) as days_past_due
    from (select * from running where paid_to_date < due_to_date) as behind
    {{ asof_left_join(
        'instalments', 'instalments', 'behind.paid_to_date < instalments.due_to_here',
        ['behind.loan_id = instalments.loan_id']
    ) }}

),

aged as (

    select
        running.*,
        cast(coalesce(arrears.days_past_due, 0) as integer) as days_past_due
    from running
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
        _batch
    from aged

)

select * from panel
