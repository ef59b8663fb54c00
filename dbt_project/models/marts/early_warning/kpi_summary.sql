-- Does the watch list catch loans that default? Each row holds one list against one population of which the outcome is
-- known; every rate of a row is over that population. The list is always made of what was known before the outcome:
--   at_decision  matured loans; listed when EW-01 fired on the application. Default within the performance window.
--   on_book      loans open `early_warning_horizon_months` plus the recognition lag before the as-of day; listed when a
--                loan rule fired on that day. Default within `early_warning_horizon_months` after it.
-- The rules are those in force now: this asks how they would have done, not what was decided then.
{% set horizon = var('early_warning_horizon_months') %}
with rules as (

    select * from {{ ref('int_early_warning_rules') }}

),

outcomes as (

    select * from {{ ref('loan_outcomes') }}

),

book as (

    select max(observed_through) as as_of
    from outcomes

),

at_decision as (

    select
        'at_decision' as evaluated,
        cast(null as date) as evaluated_on,
        outcomes.matured,
        outcomes.is_bad as defaulted,
        {{ burdened_applicant('features', 'rules') }} as listed
    from outcomes
    left join {{ ref('application_features') }} as features on outcomes.loan_id = features.loan_id
    left join rules on rules.rule_id = 'EW-01'

),

judged_on_book as (

    select
        evaluated_on,
        loan_id,
        max(case when fired then 1 else 0 end) = 1 as listed
    from {{ ref('int_early_warning_judgements') }}
    where not is_current
    group by evaluated_on, loan_id

),

on_book as (

    select
        'on_book' as evaluated,
        judged_on_book.evaluated_on,
        true as matured,
        coalesce(
            outcomes.default_date <= {{ months_after('judged_on_book.evaluated_on', horizon) }}, false
        ) as defaulted,
        case when inputs.observed_month is not null then judged_on_book.listed end as listed
    from judged_on_book
    inner join {{ ref('int_early_warning_inputs') }} as inputs
        on judged_on_book.loan_id = inputs.loan_id and judged_on_book.evaluated_on = inputs.evaluated_on
    inner join outcomes on judged_on_book.loan_id = outcomes.loan_id

),

judged as (

    select * from at_decision
    union all
    select * from on_book

),

-- Both rows are there whatever the book holds: an empty population has counts of 0 and no rates.
kinds as (

    select 'at_decision' as evaluated
    union all
    select 'on_book' as evaluated

),

counted as (

    select
        kinds.evaluated,
        max(judged.evaluated_on) as evaluated_on,
        cast(count(judged.evaluated) as bigint) as book_rows,
        cast(count(case when not judged.matured then 1 end) as bigint) as immature_loans,
        cast(count(case when judged.matured and judged.listed is null then 1 end) as bigint)
            as not_measurable_loans,
        cast(count(case when judged.matured then judged.listed end) as bigint) as portfolio_rows,
        cast(count(case
            when judged.matured and judged.listed is not null and judged.defaulted then 1
        end) as bigint) as defaulted_loans,
        cast(count(case when judged.matured and judged.listed then 1 end) as bigint) as watchlist_loans,
        cast(count(case
            when judged.matured and judged.listed and judged.defaulted then 1
        end) as bigint) as watchlist_defaults
    from kinds
    left join judged on kinds.evaluated = judged.evaluated
    group by kinds.evaluated

),

measured_on_book as (

    select distinct rule_id
    from {{ ref('int_early_warning_judgements') }}
    where not is_current and fired is not null

),

used as (

    select
        'at_decision' as evaluated,
        {{ text_list("case when rule_id = 'EW-01' then rule_id end", 'rule_id') }} as rule_ids
    from rules

    union all

    select
        'on_book' as evaluated,
        {{ text_list('rule_id', 'rule_id') }} as rule_ids
    from measured_on_book

),

rates as (

    select
        *,
        {{ ratio('defaulted_loans', 'portfolio_rows') }} as baseline_default_rate,
        {{ ratio('watchlist_loans', 'portfolio_rows') }} as watchlist_share,
        {{ ratio('watchlist_defaults', 'watchlist_loans') }} as watchlist_default_rate,
        {{ ratio('watchlist_defaults', 'defaulted_loans') }} as capture,
        {{ ratio('watchlist_loans - watchlist_defaults', 'portfolio_rows - defaulted_loans') }} as false_alarm_rate
    from counted

),

summary as (

    select
        book.as_of,
        rates.evaluated,
        rates.evaluated_on,
        used.rule_ids,
        rates.portfolio_rows,
        rates.defaulted_loans,
        rates.baseline_default_rate,
        rates.watchlist_loans,
        rates.watchlist_share,
        rates.watchlist_defaults,
        rates.watchlist_default_rate,
        {{ ratio('rates.watchlist_default_rate', 'rates.baseline_default_rate') }} as lift,
        rates.capture,
        rates.false_alarm_rate,
        rates.book_rows,
        rates.immature_loans,
        rates.not_measurable_loans
    from rates
    left join used on rates.evaluated = used.evaluated
    cross join book

)

select * from summary
