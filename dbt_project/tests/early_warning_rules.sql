{{ config(severity='error', meta={'dagster': {'ref': {'name': 'early_warning_rules'}}}) }}
-- Two versions of a rule never apply on the same day, and each version has every threshold that its rule reads: a
-- missing one would make the rule silent.
with rules as (

    select
        *,
        case rule_id
            when 'EW-01' then dti_above + utilisation_above + delinquencies_at_least + inquiries_at_least
            when 'EW-02' then dpd_from + dpd_to
            when 'EW-03' then dpd_above
            when 'EW-04' then pd_multiple_at_least + pd_rise_at_least
            when 'EW-05' then score_drop_at_least
            when 'EW-06' then income_drop_at_least
            when 'EW-07' then nsf_at_least
            when 'EW-08' then pti_above + pti_rise_at_least
            when 'EW-09' then missed_at_least
            when 'EW-10' then sigmas + least_loans
            when 'EW-11' then mean_multiple + least_loans
            when 'EW-12' then 0 -- its limits stand in the seed concentration_limits
        end as thresholds,
        lead(effective_from) over (
            partition by rule_id
            order by effective_from, rule_version
        ) as next_effective_from
    from {{ ref('early_warning_rules') }}

)

select
    rule_id,
    rule_version,
    case
        when thresholds is null then 'a threshold is missing, or nobody wrote SQL for this rule'
        when effective_to < effective_from then 'ends before it begins'
        else 'the next version begins before this one ends: set effective_to to the day before'
    end as reason
from rules
where
    thresholds is null
    or effective_to < effective_from
    or (next_effective_from is not null and coalesce(effective_to, next_effective_from) >= next_effective_from)
