{% set months = 'partition by loan_id order by month_end' %}
-- Every month of every loan: the state it was in at the end of the month before, and the one it reached. Counted by
-- what the dashboard filters by. A loan that has left the book moves no more.
with states as (

    select
        loan_id,
        month_end,
        opening_balance,
        case
            when status = 'Closed' then 'Prepaid/Closed'
            when status = 'Charged Off' then status
            else dpd_bucket
        end as state
    from {{ ref('int_loan_month_panel') }}

),

moves as (

    select
        loan_id,
        month_end,
        opening_balance as balance,
        lag(state) over ({{ months }}) as from_state,
        state as to_state
    from states

),

counted as (

    select
        moves.month_end,
        moves.from_state,
        moves.to_state,
        loans.issue_month,
        loans.purpose,
        loans.risk_band,
        loans.status,
        cast(count(*) as bigint) as loans,
        cast(sum(moves.balance) as decimal(18, 2)) as balance
    from moves
    inner join {{ ref('portfolio_loans') }} as loans on moves.loan_id = loans.loan_id
    where moves.from_state not in ('Charged Off', 'Prepaid/Closed')
    group by
        moves.month_end, moves.from_state, moves.to_state,
        loans.issue_month, loans.purpose, loans.risk_band, loans.status

)

select * from counted
