{% set segment_of = {
    'state': 'state',
    'purpose': "nullif(purpose, 'unknown')",
    'grade': 'grade',
    'risk_band': "nullif(risk_band, 'Not scored')",
    'term': 'cast(term_months as varchar)',
} %}
{#- A hundredth of NUMBER is rounded to a few decimals in Snowflake; of doubles it is not, anywhere. -#}
{% set even_share = 'cast(1 as double) / nullif(known_segments, 0)' %}
{% set in_kind = 'partition by kind' %}
{% set largest_first = 'partition by kind, is_known order by exposure desc nulls last, segment' %}
{% set so_far = 'rows between unbounded preceding and current row' %}
-- Where the open exposure lies, against the limits of the day. A segment nobody published counts in the whole, and has
-- neither limit nor rank: it says nothing about concentration.
with open_loans as (

    select * from {{ ref('portfolio_loans') }}
    where is_open

),

segments as (
    {% for kind, segment in segment_of.items() %}
        select
            '{{ kind }}' as kind,
            {{ segment }} as segment,
            max(as_of) as as_of,
            count(*) as loans,
            sum(balance) as exposure
        from open_loans
        group by {{ segment }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

known as (

    select
        as_of,
        kind,
        coalesce(segment, 'unknown') as segment,
        segment is not null as is_known,
        loans,
        cast(exposure as double) as exposure,
        case when segment is not null then cast(exposure as double) else 0 end as known_exposure
    from segments

),

shares as (

    select
        *,
        {{ ratio('exposure', 'sum(exposure) over (' ~ in_kind ~ ')') }} as share,
        row_number() over ({{ largest_first }} asc) as place,
        sum(exposure) over ({{ largest_first }} asc {{ so_far }}) as exposure_so_far,
        sum(exposure) over ({{ in_kind }}) as total,
        sum(case when is_known then 1 else 0 end) over ({{ in_kind }}) as known_segments,
        sum(known_exposure * known_exposure) over ({{ in_kind }}) as sum_of_squares,
        sum(known_exposure) over ({{ in_kind }}) as known_total
    from known

),

indexed as (

    select
        *,
        {{ ratio('sum_of_squares', 'known_total * known_total') }} as hhi
    from shares

),

limited as (

    select
        indexed.*,
        case when indexed.is_known then coalesce(named.limit_share, general.limit_share) end as limit_share,
        case when indexed.is_known then coalesce(named.amber_share, general.amber_share) end as amber_share,
        case when indexed.is_known then coalesce(named.limit_version, general.limit_version) end as limit_version
    from indexed
    left join {{ ref('int_concentration_limits') }} as named
        on indexed.kind = named.kind and indexed.segment = named.segment
    left join {{ ref('int_concentration_limits') }} as general
        on indexed.kind = general.kind and general.segment = '*'

),

concentration as (

    select
        as_of,
        kind,
        segment,
        cast(loans as bigint) as loans,
        cast(exposure as decimal(18, 2)) as exposure,
        share,
        cast(case when is_known then place end as integer) as rank_in_kind,
        case when is_known then {{ ratio('exposure_so_far', 'total') }} end as cumulative_share,
        limit_share,
        amber_share,
        {{ ratio('share', 'limit_share') }} as limit_used,
        limit_version,
        case
            when limit_share is null or share is null then 'no limit'
            when share > limit_share then 'red'
            when share > amber_share then 'amber'
            else 'green'
        end as light,
        hhi,
        {{ ratio('hhi - ' ~ even_share, '1 - ' ~ even_share) }} as hhi_normalised
    from limited

)

select * from concentration
