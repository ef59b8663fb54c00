-- One row per open loan and rule that fired, with the values that made it fire.
with judgements as (

    select * from {{ ref('int_early_warning_judgements') }}
    where is_current and fired

),

warnings as (

    select
        evaluated_on as as_of,
        loan_id,
        rule_id,
        rule_version,
        severity,
        refer_to,
        measured_on,
        measure,
        measured_value,
        threshold,
        evidence
    from judgements

)

select * from warnings
