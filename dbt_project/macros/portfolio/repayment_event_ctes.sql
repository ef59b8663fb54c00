{#-
  CTEs that turn `instalments` into `events`: what the platform learnt of each loan in each month, ready to be summed.
  Reads loan_id, due_date, known_date, paid_on_time, days_to_pay and the amounts; leaves `events` (and helpers) behind.
-#}
{% macro repayment_event_ctes(instalments) -%}
-- An instalment turns late on the day after it was due, unless a payment on time is known by that month's end.
dated as (

    select
        *,
        last_day(due_date) as due_month,
        last_day(known_date) as known_month,
        last_day(cast(due_date + interval '1 day' as date)) as late_month,
        coalesce(last_day(known_date) = last_day(due_date), false) as known_when_due
    from {{ instalments }}

),

judged as (

    select
        *,
        not paid_on_time or known_month > late_month as looked_late
    from dated

),

-- Most payments become known in the month they are due: one row tells both. The others get rows of their own.
events as (

    select
        loan_id,
        due_month as month_end,
        amount_due,
        case when known_when_due then amount_paid else 0 end as amount_paid,
        case when known_when_due then principal_paid else 0 end as principal_paid,
        1 as instalments_due,
        case when known_when_due and paid_on_time then 1 else 0 end as instalments_on_time,
        case when looked_late and late_month = due_month then 1 else 0 end as instalments_late,
        case when known_when_due then 1 else 0 end as payments,
        case when known_when_due then days_to_pay else 0 end as days_to_pay,
        case when known_when_due then days_to_pay * days_to_pay else 0 end as days_to_pay_squared,
        case when known_when_due then known_date end as known_date
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
        case when paid_on_time and looked_late then -1 else 0 end as instalments_late,
        1 as payments,
        days_to_pay,
        days_to_pay * days_to_pay as days_to_pay_squared,
        known_date
    from judged
    where known_date is not null and not known_when_due

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
    where looked_late and late_month <> due_month

),
{%- endmacro %}
