{% set months_before = 12 %}
-- The rules about the book as a whole: one row per segment that a rule looks at, fired or not. What could not be
-- measured stands there as not_measurable.
with rules as (

    select * from {{ ref('int_early_warning_rules') }}
    where rule_scope = 'portfolio'

),

open_loans as (

    select
        inputs.purpose,
        attributes.state,
        inputs.exposure
    from {{ ref('int_early_warning_inputs') }} as inputs
    left join {{ ref('restricted_attributes') }} as attributes on inputs.loan_id = attributes.loan_id
    where inputs.is_current

),

-- EW-10: the latest month's roll against the twelve before.
roll_segments as (

    select
        'book' as segment_kind,
        'all' as segment

    union all

    select distinct
        'purpose' as segment_kind,
        coalesce(purpose, 'unknown') as segment
    from open_loans

),

roll_history as (

    select
        rolls.segment_kind,
        rolls.segment,
        avg(rolls.roll_rate) as mean_rate,
        stddev_samp(rolls.roll_rate) as deviation,
        count(*) as months
    from {{ ref('int_early_arrears_rolls') }} as rolls
    inner join rules on rules.rule_id = 'EW-10' and rolls.loans >= rules.least_loans
    where rolls.month_end < rolls.latest_month
    group by rolls.segment_kind, rolls.segment

),

rolling as (

    select
        rules.rule_id,
        segments.segment_kind,
        segments.segment,
        latest.month_end as period,
        latest.loans,
        case when latest.loans >= rules.least_loans then latest.roll_rate end as measured_value,
        case when history.months >= {{ months_before }} then history.mean_rate end as baseline,
        case
            when history.months >= {{ months_before }} then history.mean_rate + rules.sigmas * history.deviation
        end as limit_value
    from rules
    cross join roll_segments as segments
    left join {{ ref('int_early_arrears_rolls') }} as latest
        on
            segments.segment_kind = latest.segment_kind
            and segments.segment = latest.segment
            and latest.month_end = latest.latest_month
    left join roll_history as history
        on segments.segment_kind = history.segment_kind and segments.segment = history.segment
    where rules.rule_id = 'EW-10'

),

-- EW-11: the latest vintage of age three months against the twelve before.
latest_vintage as (

    select max(issue_month) as issue_month
    from {{ ref('int_vintage_ever_30') }}

),

vintage_history as (

    select
        avg(vintages.ever_30_rate) as mean_rate,
        count(*) as months
    from {{ ref('int_vintage_ever_30') }} as vintages
    inner join rules on rules.rule_id = 'EW-11' and vintages.loans >= rules.least_loans
    cross join latest_vintage
    where
        vintages.issue_month < latest_vintage.issue_month
        and vintages.issue_month >= {{ months_after('latest_vintage.issue_month', -months_before) }}

),

young as (

    select
        rules.rule_id,
        'vintage' as segment_kind,
        coalesce(cast(latest_vintage.issue_month as varchar), 'none of age') as segment,
        latest_vintage.issue_month as period,
        vintages.loans,
        case when vintages.loans >= rules.least_loans then vintages.ever_30_rate end as measured_value,
        case when history.months >= {{ months_before }} then history.mean_rate end as baseline,
        case
            when history.months >= {{ months_before }} then history.mean_rate * rules.mean_multiple
        end as limit_value
    from rules
    cross join latest_vintage
    cross join vintage_history as history
    left join {{ ref('int_vintage_ever_30') }} as vintages on latest_vintage.issue_month = vintages.issue_month
    where rules.rule_id = 'EW-11'

),

-- EW-12: where the open exposure lies, against the limit of the segment or of its kind.
exposures as (

    select
        'state' as segment_kind,
        state as segment,
        count(*) as loans,
        sum(exposure) as exposure
    from open_loans
    group by state

    union all

    select
        'purpose' as segment_kind,
        purpose as segment,
        count(*) as loans,
        sum(exposure) as exposure
    from open_loans
    group by purpose

),

total as (

    select sum(exposure) as exposure
    from open_loans

),

concentrated as (

    select
        rules.rule_id,
        exposures.segment_kind,
        coalesce(exposures.segment, 'unknown') as segment,
        rules.as_of as period,
        exposures.loans,
        case
            when exposures.segment is not null then {{ ratio('exposures.exposure', 'total.exposure') }}
        end as measured_value,
        cast(null as double) as baseline,
        coalesce(named.limit_share, general.limit_share) as limit_value
    from rules
    cross join exposures
    cross join total
    left join {{ ref('int_concentration_limits') }} as named
        on exposures.segment_kind = named.kind and exposures.segment = named.segment
    left join {{ ref('int_concentration_limits') }} as general
        on exposures.segment_kind = general.kind and general.segment = '*'
    where rules.rule_id = 'EW-12'

),

measured as (

    select * from rolling
    union all
    select * from young
    union all
    select * from concentrated

),

warnings as (

    select
        rules.as_of,
        measured.rule_id,
        rules.rule_version,
        measured.segment_kind,
        measured.segment,
        measured.period,
        cast(coalesce(measured.loans, 0) as bigint) as loans,
        measured.measured_value,
        cast(measured.baseline as double) as baseline,
        cast(measured.limit_value as double) as limit_value,
        case
            when measured.measured_value is null or measured.limit_value is null then 'not_measurable'
            when measured.measured_value > measured.limit_value then 'fired'
            else 'clear'
        end as status,
        case
            when measured.measured_value is null or measured.limit_value is null then rules.not_measurable_because
            else
                {{ told('value', 'measured.measured_value') }}
                || '; ' || {{ told('limit', 'measured.limit_value') }}
                || '; ' || {{ told('loans', 'measured.loans', 0) }}
        end as evidence
    from measured
    inner join rules on measured.rule_id = rules.rule_id

)

select * from warnings
