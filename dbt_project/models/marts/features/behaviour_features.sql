{% set by_month = 'partition by loan_id order by month_end rows between' %}
{% set life = by_month ~ ' unbounded preceding and current row' %}
{% set last_3 = by_month ~ ' 2 preceding and current row' %}
{% set last_6 = by_month ~ ' 5 preceding and current row' %}
{% set last_12 = by_month ~ ' 11 preceding and current row' %}
{% set last_24 = by_month ~ ' 23 preceding and current row' %}
-- How each loan behaved up to each month end, from the loan-month panel: what was known by that day and nothing later.
with panel as (

    select * from {{ ref('int_loan_month_panel') }}

),

windows as (

    select
        *,
        sum(instalments_due) over ({{ life }}) as due_count,
        sum(instalments_on_time) over ({{ life }}) as on_time_count,
        sum(payments) over ({{ life }}) as payment_count,
        sum(days_to_pay) over ({{ life }}) as days_sum,
        sum(days_to_pay_squared) over ({{ life }}) as days_squared_sum,
        sum(instalments_late) over ({{ last_6 }}) as late_6,
        sum(instalments_late) over ({{ last_12 }}) as late_12,
        sum(instalments_late) over ({{ last_24 }}) as late_24,
        max(days_past_due) over ({{ last_12 }}) as dpd_max_last_12,
        max(days_past_due) over ({{ life }}) as dpd_max_life,
        sum(amount_paid) over ({{ last_3 }}) as paid_3,
        sum(amount_due) over ({{ last_3 }}) as due_3
    from panel

),

-- Integer sums first, one division last: the same bits whatever the order of the rows.
spread as (

    select
        *,
        cast(days_sum as double) / nullif(payment_count, 0) as days_mean,
        sqrt(greatest(
            cast(days_squared_sum * payment_count - days_sum * days_sum as double), 0.0
        )) / nullif(payment_count, 0) as days_deviation
    from windows

),

features as (

    select
        loan_id,
        month_end as observation_month,
        {{ ratio('on_time_count', 'due_count') }} as payment_history_pct,
        case
            when payment_count >= 2 and days_mean > 0
                then greatest(1.0 - cast(days_deviation as double) / days_mean, 0.0)
        end as payment_consistency,
        cast(days_past_due as double) as dpd_current,
        cast(dpd_max_last_12 as double) as dpd_max_12m,
        cast(greatest(late_6, 0) as double) as late_cnt_6m,
        cast(greatest(late_12, 0) as double) as late_cnt_12m,
        cast(greatest(late_24, 0) as double) as late_cnt_24m,
        {{ flag('dpd_max_life >= 30') }} as ever_30_dpd,
        {{ flag('dpd_max_life >= 60') }} as ever_60_dpd,
        {{ flag('dpd_max_life >= 90') }} as ever_90_dpd,
        cast(months_on_book as double) as months_on_book,
        {{ ratio('balance', 'original_amount') }} as balance_to_original,
        {{ ratio('paid_3', 'due_3') }} as payment_ratio_3m
    from spread

)

select * from features
