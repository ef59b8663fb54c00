{{ config(severity='error', meta={'dagster': {'ref': {'name': 'concentration_limits'}}}) }}
-- Two versions of a limit never apply on the same day, a warning comes before its limit, and every kind that is
-- measured has a limit for the segments nobody named: without it a segment would be neither green nor red.
with limits as (

    select
        *,
        lead(effective_from) over (
            partition by kind, segment
            order by effective_from, limit_version
        ) as next_effective_from
    from {{ ref('concentration_limits') }}

),

kinds as (

    select
        kind,
        count(case when segment = '*' then 1 end) as general_limits
    from limits
    group by kind

)

select
    kind,
    segment,
    limit_version,
    case
        when limit_share is null or amber_share is null then 'limit_share or amber_share is missing'
        when amber_share > limit_share then 'amber_share lies above limit_share'
        when effective_to < effective_from then 'ends before it begins'
        else 'the next version begins before this one ends: set effective_to to the day before'
    end as reason
from limits
where
    limit_share is null
    or amber_share is null
    or amber_share > limit_share
    or effective_to < effective_from
    or (next_effective_from is not null and coalesce(effective_to, next_effective_from) >= next_effective_from)

union all

select
    kind,
    '*' as segment,
    cast(null as varchar) as limit_version,
    'no limit for the segments that are not named: add a row with segment *' as reason
from kinds
where general_limits = 0
