{{ config(severity='error', meta={'dagster': {'ref': {'name': 'application_features'}}}) }}
-- Unemployment in the features, recomputed by another road: for each decision day the value of the latest period
-- that had been published by then, in the vintage known by then.
with decision_days as (

    select distinct
        decision_date,
        unemployment_rate_pub
    from {{ ref('application_features') }}

),

published as (

    select
        decision_days.decision_date,
        decision_days.unemployment_rate_pub,
        {{ ratio_of_percent('observations.value') }} as expected
    from decision_days
    inner join {{ ref('stg_macro__observations') }} as observations
        on
            observations.series_id = 'UNRATE'
            and observations.value is not null
            and decision_days.decision_date >= observations.publication_date
    qualify
        row_number() over (
            partition by decision_days.decision_date
            order by observations.observation_date desc nulls last, observations.publication_date desc nulls last
        ) = 1

)

select
    decision_date,
    'unemployment_rate_pub' as column_name,
    unemployment_rate_pub as found,
    expected
from published
where unemployment_rate_pub is distinct from expected
