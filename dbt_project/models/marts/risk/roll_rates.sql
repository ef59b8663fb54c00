{% set of_state = 'partition by counted.period, counted.last_month, counted.from_state' %}
-- Of the loans in each state, the share that was in each other state a month later: for every month, for the latest
-- and for the latest twelve pooled. The whole matrix: a move that nobody made has a share of zero.
with moves as (

    select
        month_end,
        from_state,
        to_state,
        sum(loans) as loans,
        sum(balance) as balance
    from {{ ref('loan_transitions') }}
    group by month_end, from_state, to_state

),

latest as (

    select max(month_end) as latest_month
    from moves

),

periods as (

    select
        'month' as period,
        month_end as last_month,
        from_state,
        to_state,
        loans,
        balance
    from moves

    union all

    select
        'latest month' as period,
        latest.latest_month as last_month,
        moves.from_state,
        moves.to_state,
        moves.loans,
        moves.balance
    from moves
    inner join latest on moves.month_end = latest.latest_month

    union all

    select
        'latest 12 months' as period,
        latest.latest_month as last_month,
        moves.from_state,
        moves.to_state,
        moves.loans,
        moves.balance
    from moves
    inner join latest on moves.month_end > last_day({{ months_after('latest.latest_month', -12) }})

),

starts as (

    select distinct
        period,
        last_month,
        from_state
    from periods

),

states as (

    {{ delinquency_states() }}

),

counted as (

    select
        starts.period,
        starts.last_month,
        starts.from_state,
        states.state as to_state,
        cast(coalesce(sum(periods.loans), 0) as bigint) as loans,
        cast(coalesce(sum(periods.balance), 0) as decimal(18, 2)) as balance
    from starts
    cross join states
    left join periods
        on
            starts.period = periods.period
            and starts.last_month = periods.last_month
            and starts.from_state = periods.from_state
            and states.state = periods.to_state
    group by starts.period, starts.last_month, starts.from_state, states.state

),

totals as (

    select
        counted.*,
        cast(sum(counted.loans) over ({{ of_state }}) as bigint) as loans_at_start,
        cast(sum(counted.balance) over ({{ of_state }}) as decimal(18, 2)) as balance_at_start
    from counted

),

shares as (

    select
        *,
        {{ ratio('loans', 'loans_at_start') }} as rate,
        {{ ratio('balance', 'balance_at_start') }} as rate_by_balance
    from totals

),

rates as (

    select
        shares.period,
        case when shares.period = 'month' then shares.last_month end as month_end,
        shares.last_month,
        shares.from_state,
        shares.to_state,
        shares.loans,
        shares.balance,
        shares.loans_at_start,
        shares.balance_at_start,
        shares.rate,
        shares.rate_by_balance,
        cast({{ wilson('shares.rate', 'shares.loans_at_start', 'low') }} as double) as low,
        cast({{ wilson('shares.rate', 'shares.loans_at_start', 'high') }} as double) as high,
        case
            when shares.to_state = 'Prepaid/Closed' then 'exit'
            when reached.severity > started.severity then 'forward'
            when reached.severity = started.severity then 'stable'
            when shares.to_state = 'Current' then 'cure'
            else 'back'
        end as direction
    from shares
    inner join states as started on shares.from_state = started.state
    inner join states as reached on shares.to_state = reached.state

)

select * from rates
