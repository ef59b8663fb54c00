-- Of the loans of one issue month, how many had been 30 days or more past due by the end of their third month on book.
-- Only vintages of that age, and only loans with a repayment record.
with panel as (

    select * from {{ ref('int_loan_month_panel') }}

),

latest as (

    select max(month_end) as latest_month
    from panel

),

loans as (

    select
        outcomes.issue_month,
        panel.loan_id,
        max(panel.days_past_due) >= 30 as ever_30
    from panel
    inner join {{ ref('loan_outcomes') }} as outcomes on panel.loan_id = outcomes.loan_id
    cross join latest
    where
        panel.months_on_book <= 3
        and last_day({{ months_after('outcomes.issue_month', 3) }}) <= latest.latest_month
    group by outcomes.issue_month, panel.loan_id

),

vintages as (

    select
        issue_month,
        cast(count(*) as bigint) as loans,
        cast(count(case when ever_30 then 1 end) as bigint) as ever_30_loans
    from loans
    group by issue_month

),

rates as (

    select
        *,
        {{ ratio('ever_30_loans', 'loans') }} as ever_30_rate
    from vintages

)

select * from rates
