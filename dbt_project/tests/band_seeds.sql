{{ config(severity='error', meta={'dagster': {'ref': {'name': 'score_bands'}}}) }}
-- The policy seeds and the edges compiled into the feature SQL say the same, and bands neither overlap nor leave gaps.
with seeded as (

    select
        'score_bands' as seed,
        band as band_label,
        score_lower as lower_edge,
        score_upper as upper_edge,
        band_order as rank_in_seed
    from {{ ref('score_bands') }}
    where effective_from = (select max(effective_from) from {{ ref('score_bands') }})

    union all

    select
        'dpd_buckets' as seed,
        bucket as band_label,
        dpd_lower as lower_edge,
        dpd_upper as upper_edge,
        bucket_order as rank_in_seed
    from {{ ref('dpd_buckets') }}
    where effective_from = (select max(effective_from) from {{ ref('dpd_buckets') }})

    union all

    select
        'risk_bands' as seed,
        band as band_label,
        pd_lower as lower_edge,
        pd_upper as upper_edge,
        band_order as rank_in_seed
    from {{ ref('risk_bands') }}
    where effective_from = (select max(effective_from) from {{ ref('risk_bands') }})

),

classified as (

    select
        *,
        case seed
            when 'score_bands' then {{ band_of('lower_edge', var('score_bands')) }}
            when 'dpd_buckets' then {{ band_of('lower_edge', var('dpd_buckets')) }}
            else band_label
        end as compiled_label,
        lead(lower_edge) over (partition by seed order by rank_in_seed) as next_lower_edge
    from seeded

)

select
    seed,
    band_label,
    lower_edge,
    case
        when band_label <> compiled_label then 'the feature SQL says ' || compiled_label
        else 'gap or overlap'
    end as reason
from classified
where band_label <> compiled_label or upper_edge <> next_lower_edge
