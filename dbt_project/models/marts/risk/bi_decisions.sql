{{ config(materialized='view') }}
-- One row per decision on an application, for tools that know neither lists nor tokens.
with decisions as (

    select * from {{ source('platform', 'decisions') }}

),

plain as (

    select
        score_id,
        loan_id,
        channel,
        as_of as day,
        decided_at,
        outcome,
        route,
        policy_decision,
        nullif(array_to_string(rules, ', '), '') as rules,
        nullif(array_to_string(reasons, ', '), '') as reasons,
        nullif(array_to_string(fraud_signals, ', '), '') as fraud_signals,
        pd,
        points,
        band as risk_band,
        approve_below,
        decline_from,
        policy_version,
        model_name,
        bundle_sha
    from decisions

)

select * from plain
