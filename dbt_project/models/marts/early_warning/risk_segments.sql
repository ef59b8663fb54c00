-- Every open loan in one segment, by the most severe rule that fired. Rules without their inputs are listed beside:
-- standard means that no rule that could be measured fired.
with judgements as (

    select
        loan_id,
        max(case when fired then case severity when 'high' then 2 else 1 end else 0 end) as worst,
        cast(count(case when fired then 1 end) as integer) as rules_fired,
        cast(count(fired) as integer) as rules_measured,
        {{ text_list("case when fired then rule_id end", 'rule_id') }} as rule_ids,
        {{ text_list("case when fired is null then rule_id end", 'rule_id') }} as not_measurable
    from {{ ref('int_early_warning_judgements') }}
    where is_current
    group by loan_id

),

segments as (

    select
        inputs.evaluated_on as as_of,
        inputs.loan_id,
        case judgements.worst when 2 then 'high' when 1 then 'watch' else 'standard' end as segment,
        judgements.rule_ids,
        coalesce(judgements.rules_fired, 0) as rules_fired,
        coalesce(judgements.rules_measured, 0) as rules_measured,
        judgements.not_measurable,
        inputs.exposure,
        inputs.exposure_basis
    from {{ ref('int_early_warning_inputs') }} as inputs
    left join judgements on inputs.loan_id = judgements.loan_id
    where inputs.is_current

)

select * from segments
