{{ config(severity='error', meta={'dagster': {'ref': {'name': 'int_loan_month_panel'}}}) }}
-- What the panel calls paid, recomputed straight from the repayments known by that month end, at four ages.
with sampled as (

    select
        loan_id,
        month_end,
        paid_to_date
    from {{ ref('int_loan_month_panel') }}
    where months_on_book in (3, 9, 18, 30)

),

expected as (

    select
        sampled.loan_id,
        sampled.month_end,
        sampled.paid_to_date,
        coalesce(sum(repayments.amount_paid), 0) as known_payments
    from sampled
    left join {{ ref('stg_synthetic__repayments') }} as repayments
        on
            sampled.loan_id = repayments.loan_id
            and sampled.month_end >= repayments.paid_date
            and sampled.month_end >= cast(repayments.known_at as date)
    group by sampled.loan_id, sampled.month_end, sampled.paid_to_date

)

select
    loan_id,
    'paid_to_date' as column_name,
    paid_to_date as found,
    known_payments as expected
from expected
where paid_to_date <> known_payments
