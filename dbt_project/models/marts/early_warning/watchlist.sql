-- The loans that somebody should look at, with every rule that says so and the values it saw.
with warnings as (

    select
        loan_id,
        {{ text_list("rule_id || ': ' || evidence", 'rule_id', ' | ') }} as evidence,
        {{ text_list('refer_to', 'rule_id') }} as refer_to
    from {{ ref('early_warnings') }}
    group by loan_id

),

listed as (

    select
        segments.as_of,
        segments.loan_id,
        inputs.subject_token,
        segments.segment,
        segments.rule_ids,
        warnings.evidence,
        warnings.refer_to,
        segments.exposure,
        segments.exposure_basis
    from {{ ref('risk_segments') }} as segments
    inner join {{ ref('int_early_warning_inputs') }} as inputs
        on segments.loan_id = inputs.loan_id and inputs.is_current
    left join warnings on segments.loan_id = warnings.loan_id
    where segments.segment <> 'standard'

)

select * from listed
