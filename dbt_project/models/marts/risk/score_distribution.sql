{#- kind: column, lowest edge, highest edge, bins per unit. Bins of 10 points and of one per cent of PD. -#}
{% set kinds = {
    'points': ('points', 300, 850, 0.1),
    'bureau_score': ('bureau_score', 300, 850, 0.1),
    'pd': ('pd', 0, 1, 100),
} %}
{% set keys = ['population', 'kind', 'bin', 'issue_month', 'risk_band', 'status', 'purpose'] %}
-- How scores are spread. A value on an edge belongs to the bin above it, but for the highest; what lies outside the
-- scale is counted in its first or last bin. Only loans that have the value are counted.
with loans as (

    select
        is_open,
        issue_month,
        risk_band,
        status,
        coalesce(purpose, 'unknown') as purpose,
        points,
        bureau_score,
        pd
    from {{ ref('portfolio_loans') }}

),

populations as (

    select
        'all loans' as population,
        loans.*
    from loans

    union all

    select
        'open book' as population,
        loans.*
    from loans
    where is_open

    union all

    -- Purpose and bureau score stand in the application, not in the decision.
    select
        'applications' as population,
        cast(null as boolean) as is_open,
        cast(date_trunc('month', as_of) as date) as issue_month,
        coalesce(band, 'Not scored') as risk_band,
        'Application' as status,
        'unknown' as purpose,
        points,
        cast(null as double) as bureau_score,
        pd
    from {{ source('platform', 'decisions') }}

),

binned as (
    {% for kind, (column, lowest, highest, per_unit) in kinds.items() %}
        select
            population,
            '{{ kind }}' as kind,
            {#- 0.29 * 100 is 28.999...: without the hair's breadth an edge would fall into the bin below it -#}
            {% set bin = 'floor((' ~ column ~ ' - ' ~ lowest ~ ') * ' ~ per_unit ~ ' + 0.000000001)' %}
            cast(least(greatest({{ bin }}, 0), {{ (highest - lowest) * per_unit - 1 }}) as integer) as bin,
            issue_month,
            risk_band,
            status,
            purpose
        from populations
        where {{ column }} is not null
        {{ "union all" if not loop.last }}
    {% endfor %}
),

counted as (

    select
        {{ keys | join(',\n        ') }},
        count(*) as loans
    from binned
    group by {{ keys | join(', ') }}

),

score_distribution as (

    select
        population,
        kind,
        cast(
            case kind when 'pd' then bin / cast(100 as double) else 300 + 10 * bin end as double
        ) as bin_lower,
        cast(
            case kind when 'pd' then (bin + 1) / cast(100 as double) else 310 + 10 * bin end as double
        ) as bin_upper,
        issue_month,
        risk_band,
        status,
        purpose,
        cast(loans as bigint) as loans,
        {{ ratio('loans', 'sum(loans) over (partition by population, kind)') }} as share
    from counted

)

select * from score_distribution
