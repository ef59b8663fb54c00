-- What the world knew about the economy, day by day: one row per publication day, valid until the next one.
-- A revision published later changes later rows only. Values one year back are taken as known on the same day.
{% set series = {
    'UNRATE': 'unemployment_rate',
    'FEDFUNDS': 'policy_rate',
    'GDPC1': 'real_gdp',
    'CPIAUCSL': 'consumer_prices',
    'UMCSENT': 'consumer_sentiment',
} %}

with observations as (

    select * from {{ ref('stg_macro__observations') }}
    where value is not null

),

publications as (

    select distinct publication_date as valid_from from observations

),

known as (

    select
        publications.valid_from,
        observations.series_id,
        observations.observation_date,
        observations.publication_date,
        observations.value
    from publications
    inner join observations on publications.valid_from >= observations.publication_date
    qualify
        row_number() over (
            partition by publications.valid_from, observations.series_id, observations.observation_date
            order by observations.publication_date desc nulls last
        ) = 1

),

latest as (

    select * from known
    qualify row_number() over (partition by valid_from, series_id order by observation_date desc nulls last) = 1

),

with_year_before as (

    select
        latest.valid_from,
        latest.series_id,
        latest.value,
        year_before.value as value_year_before
    from latest
    left join known as year_before
        on
            latest.valid_from = year_before.valid_from
            and latest.series_id = year_before.series_id
            and year_before.observation_date = {{ months_after('latest.observation_date', -12) }}

),

wide as (

    select
        {% for id, name in series.items() -%}
            max(case when series_id = '{{ id }}' then value end) as {{ name }},
            max(case when series_id = '{{ id }}' then value_year_before end) as {{ name }}_year_before,
        {% endfor -%}
        valid_from
    from with_year_before
    group by valid_from

),

published as (

    select
        valid_from,
        lead(valid_from) over (order by valid_from) as valid_to,
        {{ ratio_of_percent('unemployment_rate') }} as unemployment_rate_pub,
        {{ ratio_of_percent('policy_rate') }} as policy_rate_pub,
        {{ ratio('real_gdp', 'real_gdp_year_before') }} - 1.0 as gdp_growth_pub,
        {{ ratio_of_percent('unemployment_rate - unemployment_rate_year_before') }} as unemployment_change_12m,
        {{ ratio('consumer_prices', 'consumer_prices_year_before') }} - 1.0 as inflation_pub,
        consumer_sentiment as consumer_sentiment_pub
    from wide

)

select * from published
