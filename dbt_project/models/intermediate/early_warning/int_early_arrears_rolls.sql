-- Of the loans 1-29 days past due at one month end, how many were 30 days or more past due at the next: by purpose and
-- for the whole book, for the latest month of the panel and the twelve before.
with panel as (

    select * from {{ ref('int_loan_month_panel') }}

),

latest as (

    select max(month_end) as latest_month
    from panel

),

early as (

    select
        panel.loan_id,
        last_day({{ months_after('panel.month_end', 1) }}) as next_month
    from panel
    cross join latest
    where
        panel.dpd_bucket = '1-29'
        and panel.month_end >= last_day({{ months_after('latest.latest_month', -13) }})

),

followed as (

    select
        panel.month_end,
        features.purpose,
        panel.days_past_due >= 30 as rolled
    from early
    inner join panel on early.loan_id = panel.loan_id and early.next_month = panel.month_end
    inner join {{ ref('application_features') }} as features on early.loan_id = features.loan_id

),

segmented as (

    select
        'book' as segment_kind,
        'all' as segment,
        month_end,
        rolled
    from followed

    union all

    select
        'purpose' as segment_kind,
        coalesce(purpose, 'unknown') as segment,
        month_end,
        rolled
    from followed

),

rolls as (

    select
        segmented.segment_kind,
        segmented.segment,
        segmented.month_end,
        latest.latest_month,
        cast(count(*) as bigint) as loans,
        cast(count(case when segmented.rolled then 1 end) as bigint) as rolled_loans
    from segmented
    cross join latest
    group by segmented.segment_kind, segmented.segment, segmented.month_end, latest.latest_month

),

rates as (

    select
        *,
        {{ ratio('rolled_loans', 'loans') }} as roll_rate
    from rolls

)

select * from rates
