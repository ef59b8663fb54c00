"""Cohorts, transitions, arrears and defaults of the filtered book."""

CURVES = """
with cells as (
    select cohort, months_on_book, matured from gold.vintage_curves where cohort_kind = 'quarter'
),

chosen as (
    select
        cast(date_trunc('quarter', issue_month) as date) as cohort,
        loan_amount,
        case
            when default_date is not null then greatest(date_diff('month', issue_month, default_date), 0)
        end as defaulted_at
    from gold.portfolio_loans
    where meets_credit_policy and {where}
),

sizes as (
    select cohort, count(*) as loans, sum(loan_amount) as amount from chosen group by cohort
),

defaults as (
    select cohort, defaulted_at as months_on_book, count(*) as loans, sum(loan_amount) as amount
    from chosen where defaulted_at is not null group by cohort, defaulted_at
),

running as (
    select
        cells.*, sizes.loans, sizes.amount,
        sum(coalesce(defaults.loans, 0)) over so_far as loans_so_far,
        sum(coalesce(defaults.amount, 0)) over so_far as amount_so_far
    from cells
    inner join sizes on cells.cohort = sizes.cohort
    left join defaults on cells.cohort = defaults.cohort and cells.months_on_book = defaults.months_on_book
    window so_far as (partition by cells.cohort order by cells.months_on_book)
)

select
    cohort, months_on_book, matured, loans, amount,
    case when matured then cast(loans_so_far as bigint) end as defaulted_loans,
    case when matured then cast(loans_so_far as double) / nullif(loans, 0) end as default_rate,
    case
        when matured then cast(amount_so_far as double) / nullif(cast(amount as double), 0)
    end as default_rate_by_amount
from running
order by cohort, months_on_book
"""

ROLLS = """
select from_state, to_state, sum(loans) as loans, sum(balance) as balance
from gold.loan_transitions
where {where} and date_diff('month', month_end, (select max(month_end) from gold.loan_transitions)) < ?
group by from_state, to_state
order by from_state, to_state
"""

FORECAST = "select from_state, forecast, realised, loans from gold.roll_forecast order by from_state"

BUCKETS = """
with sums as (
    select
        month_end, coalesce(dpd_bucket, 'Not measurable') as dpd_bucket, sum(loans) as loans,
        cast(sum(balance) as double) as balance
    from gold.portfolio_months
    where balance_basis <> 'events of the month' and {where}
    group by month_end, coalesce(dpd_bucket, 'Not measurable')
)

select
    month_end, dpd_bucket, loans, balance,
    loans / nullif(sum(loans) over (partition by month_end), 0) as share_of_loans,
    balance / nullif(sum(balance) over (partition by month_end), 0) as share_of_balance
from sums
order by month_end, dpd_bucket
"""

TREND = """
with months as (
    select
        month_end, issue_month, sum(loans) as open_loans, sum(new_defaults) as new_defaults,
        sum(case when dpd_bucket in ('90-119', '120+') then 0 else loans end) as performing_loans
    from gold.portfolio_months
    where {where}
    group by month_end, issue_month
),

book as (
    select
        month_end, last_day(month_end - interval 12 month) as year_before, sum(open_loans) as open_loans,
        sum(new_defaults) as new_defaults, sum(performing_loans) as performing_loans
    from months group by month_end
),

defaults as (
    select book.month_end, sum(months.new_defaults) as defaults_12m
    from book
    inner join months
        on months.month_end > book.year_before and months.month_end <= book.month_end
        and months.issue_month <= book.year_before
    group by book.month_end
)

select
    book.month_end, book.open_loans, book.new_defaults, defaults.defaults_12m,
    case when before.month_end is not null then coalesce(defaults.defaults_12m, 0) end
    / nullif(before.performing_loans, 0) as default_rate_12m,
    coalesce(trend.complete, true) as complete
from book
left join book as before on before.month_end = book.year_before
left join defaults on book.month_end = defaults.month_end
left join gold.default_trend as trend on book.month_end = trend.month_end
order by book.month_end
"""
