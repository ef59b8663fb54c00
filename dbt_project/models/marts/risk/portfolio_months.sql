-- The book month by month, as the platform saw it then, by what the dashboard filters on. Loans and balances are those
-- on the book at the month end; what happened during the month (new, default, closed) stands in rows of its own, with
-- no bucket. So loans at a month end = loans at the one before + new - closed.
with loans as (

    select * from {{ ref('portfolio_loans') }}

),

book as (

    select {{ last_complete_month('max(as_of)') }} as last_month
    from loans

),

observed as (

    select
        loan_id,
        min(month_end) as first_month,
        max(month_end) as latest_month,
        min(case when status in ('Closed', 'Charged Off') then month_end end) as final_month
    from {{ ref('int_loan_month_panel') }}
    group by loan_id

),

-- Books are never mixed: where one loan has a panel, a loan without one has had no instalment due yet.
panel_kept as (

    select count(*) > 0 as has_panel
    from observed

),

lives as (

    select
        loans.loan_id,
        loans.issue_month,
        loans.purpose,
        loans.risk_band,
        loans.status,
        loans.loan_amount,
        loans.default_date,
        book.last_month,
        panel_kept.has_panel,
        last_day(loans.issue_month) as first_month_end,
        -- the last month end before the panel takes over
        case
            when observed.first_month is not null then last_day({{ months_after('observed.first_month', -1) }})
            when loans.left_date is not null
                then least(last_day({{ months_after('loans.left_date', -1) }}), book.last_month)
            else book.last_month
        end as unobserved_until,
        -- the first month end at which the loan was no longer on the book
        case
            when observed.final_month is not null then observed.final_month
            when observed.latest_month < book.last_month
                then last_day({{ months_after('observed.latest_month', 1) }})
            when observed.latest_month is null then last_day(loans.left_date)
        end as left_month
    from loans
    left join observed on loans.loan_id = observed.loan_id
    cross join book
    cross join panel_kept

),

observed_months as (

    select
        panel.month_end,
        lives.issue_month,
        lives.purpose,
        lives.risk_band,
        lives.status,
        panel.dpd_bucket,
        'balance at the month end' as balance_basis,
        1 as loans,
        panel.balance,
        panel.days_past_due,
        0 as new_loans,
        0 as new_defaults,
        0 as closed_loans
    from {{ ref('int_loan_month_panel') }} as panel
    inner join lives on panel.loan_id = lives.loan_id
    where coalesce(panel.month_end < lives.left_month, true) and panel.month_end <= lives.last_month

),

unobserved_months as (

    select
        {{ month_of_spine('months', 'lives.first_month_end') }} as month_end,
        lives.issue_month,
        lives.purpose,
        lives.risk_band,
        lives.status,
        case when lives.has_panel then 'Current' end as dpd_bucket,
        'amount lent' as balance_basis,
        1 as loans,
        lives.loan_amount as balance,
        case when lives.has_panel then 0 end as days_past_due,
        0 as new_loans,
        0 as new_defaults,
        0 as closed_loans
    from lives
    {{ month_spine('lives.first_month_end', 'lives.unobserved_until', 'months') }}
    where lives.first_month_end <= lives.unobserved_until and lives.first_month_end <= lives.last_month

),

dated_events as (

    select
        *,
        first_month_end as event_month,
        1 as new_loans,
        0 as new_defaults,
        0 as closed_loans
    from lives

    union all

    select
        *,
        last_day(default_date) as event_month,
        0 as new_loans,
        1 as new_defaults,
        0 as closed_loans
    from lives

    union all

    select
        *,
        left_month as event_month,
        0 as new_loans,
        0 as new_defaults,
        1 as closed_loans
    from lives

),

events as (

    select
        event_month as month_end,
        issue_month,
        purpose,
        risk_band,
        status,
        cast(null as varchar) as dpd_bucket,
        'events of the month' as balance_basis,
        0 as loans,
        0 as balance,
        0 as days_past_due,
        new_loans,
        new_defaults,
        closed_loans
    from dated_events
    where event_month <= last_month

),

loan_months as (

    select * from observed_months
    union all
    select * from unobserved_months
    union all
    select * from events

),

counted as (

    select
        month_end,
        issue_month,
        purpose,
        risk_band,
        status,
        dpd_bucket,
        balance_basis,
        cast(sum(loans) as bigint) as loans,
        cast(sum(balance) as decimal(18, 2)) as balance,
        cast(sum(days_past_due) as bigint) as days_past_due_sum,
        cast(sum(new_loans) as bigint) as new_loans,
        cast(sum(new_defaults) as bigint) as new_defaults,
        cast(sum(closed_loans) as bigint) as closed_loans
    from loan_months
    group by month_end, issue_month, purpose, risk_band, status, dpd_bucket, balance_basis

)

select * from counted
order by month_end
