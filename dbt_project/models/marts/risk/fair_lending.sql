{#- 97.5 % quantile of the normal distribution: two-sided 95 % intervals. -#}
{% set z = 1.959964 %}
{% set least = var('fair_lending_least_loans') %}
{% set best_first = 'partition by attribute, suppressed'
    ~ ' order by selection_rate desc nulls last, loans desc nulls last, group_name asc' %}
{% set group_of = {
    'age_62_or_over': "case when age >= 62 then '62 or over' when age < 62 then 'under 62' end",
    'age_band': "case when age < 25 then 'under 25' when age < 35 then '25-34' when age < 45 then '35-44'"
        ~ " when age < 62 then '45-61' when age >= 62 then '62 or over' end",
    'education': 'education',
    'family_size': "case when family_size >= 5 then '5 or more' else cast(cast(family_size as integer) as varchar) end",
} %}
-- Screening for disparate impact, measured and never acted upon: how each group would fare under the champion and the
-- policy in force, against the group of its attribute that fares best. Groups of few loans show their size and nothing
-- else: their rates would be noise, and might tell of a person.
--   AIR = selection rate of the group / that of the reference group (29 CFR 1607.4 D), with the interval of a ratio of
--         two proportions: ln AIR +- z * sqrt((1 - p) / selected + (1 - p_ref) / selected_ref) (Katz et al. 1978)
--   SMD = (mean PD of the group - that of the reference) / sqrt((variance + reference variance) / 2)
with loans as (

    select
        loans.as_of,
        attributes.age,
        attributes.education,
        attributes.family_size,
        scores.pd,
        case when scores.decision = 'approve' then 1 else 0 end as is_selected,
        loans.is_bad
    from {{ ref('portfolio_loans') }} as loans
    inner join {{ source('platform', 'origination_scores') }} as scores on loans.loan_id = scores.loan_id
    left join {{ ref('restricted_attributes') }} as attributes on loans.loan_id = attributes.loan_id
    where scores.decision is not null

),

members as (
    {% for attribute, group_name in group_of.items() %}
        select
            '{{ attribute }}' as attribute,
            coalesce({{ group_name }}, 'not stated') as group_name,
            as_of,
            pd,
            is_selected,
            is_bad
        from loans
        {{ "union all" if not loop.last }}
    {% endfor %}
),

counted as (

    select
        attribute,
        group_name,
        max(as_of) as as_of,
        count(*) as loans,
        sum(is_selected) as selected,
        avg(pd) as mean_pd,
        var_samp(pd) as variance_pd,
        count(is_bad) as matured_loans,
        count(case when not is_bad then 1 end) as good,
        count(case when not is_bad and is_selected = 0 then 1 end) as good_not_selected,
        count(case when is_bad then 1 end) as bad,
        count(case when is_bad and is_selected = 1 then 1 end) as bad_selected
    from members
    group by attribute, group_name

),

judged as (

    select
        *,
        loans < {{ least }} or group_name = 'not stated' as suppressed
    from counted

),

rated as (

    select
        *,
        case when not suppressed then {{ ratio('selected', 'loans') }} end as selection_rate,
        case when not suppressed and good >= {{ least }} then {{ ratio('good_not_selected', 'good') }}
        end as false_positive_rate,
        case when not suppressed and bad >= {{ least }} then {{ ratio('bad_selected', 'bad') }}
        end as false_negative_rate
    from judged

),

ranked as (

    select
        *,
        {{ ratio('1 - selection_rate', 'selected') }} as relative_variance,
        case when not suppressed then row_number() over ({{ best_first }}) end as place
    from rated

),

compared as (

    select
        ranked.*,
        coalesce(ranked.place = 1, false) as is_reference,
        reference.group_name as reference_group,
        reference.false_positive_rate as reference_false_positive_rate,
        reference.false_negative_rate as reference_false_negative_rate,
        case when ranked.place > 1 then {{ ratio('ranked.selection_rate', 'reference.selection_rate') }} end as air,
        case
            when ranked.place > 1 and ranked.selected > 0
                then sqrt(ranked.relative_variance + reference.relative_variance)
        end as log_air_error,
        case
            when ranked.place > 1 then {{ ratio(
                'ranked.mean_pd - reference.mean_pd', 'sqrt(cast(ranked.variance_pd + reference.variance_pd as double) / 2)'
            ) }}
        end as smd_pd
    from ranked
    left join ranked as reference on ranked.attribute = reference.attribute and reference.place = 1

),

fair_lending as (

    select
        as_of,
        attribute,
        group_name,
        cast(loans as bigint) as loans,
        suppressed,
        is_reference,
        case when not suppressed then reference_group end as reference_group,
        selection_rate,
        air,
        case when log_air_error is not null then exp(ln(air) - {{ z }} * log_air_error) end as air_low,
        case when log_air_error is not null then exp(ln(air) + {{ z }} * log_air_error) end as air_high,
        air < 0.8 as below_four_fifths,
        case when not suppressed then mean_pd end as mean_pd,
        smd_pd,
        case when not suppressed then cast(matured_loans as bigint) end as matured_loans,
        false_positive_rate,
        case when place > 1 then false_positive_rate - reference_false_positive_rate end as false_positive_gap,
        false_negative_rate,
        case when place > 1 then false_negative_rate - reference_false_negative_rate end as false_negative_gap,
        'measure' as fairness_policy,
        'screening statistic, not a legal test' as note
    from compared

)

select * from fair_lending
