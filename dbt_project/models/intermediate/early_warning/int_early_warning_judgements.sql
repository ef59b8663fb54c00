{% set lateness_known_on = 'coalesce(inputs.observed_month, inputs.evaluated_on)' %}
-- Every loan rule over every loan: fired, not fired, or null where what is missing would settle it. A rule whose inputs
-- the marts do not read stays null for every loan, and is told as not measurable in early_warning_coverage. Where the
-- source publishes no more than a bracket of days past due, a rule is judged when both its ends say the same.
with judged as (

    select
        inputs.evaluated_on,
        inputs.is_current,
        inputs.loan_id,
        rules.rule_id,
        rules.rule_version,
        rules.severity,
        rules.refer_to,
        case rules.rule_id
            when 'EW-01' then inputs.decision_date
            when 'EW-02' then {{ lateness_known_on }}
            when 'EW-03' then {{ lateness_known_on }}
            else inputs.observed_month
        end as measured_on,
        case rules.rule_id
            when 'EW-01' then {{ burdened_applicant('inputs', 'rules') }}
            when 'EW-02'
                then
                    case
                        when inputs.days_past_due_from >= rules.dpd_from and inputs.days_past_due_to <= rules.dpd_to
                            then true
                        when inputs.days_past_due_to < rules.dpd_from or inputs.days_past_due_from > rules.dpd_to
                            then false
                    end
            when 'EW-03'
                then
                    case
                        when inputs.days_past_due_from > rules.dpd_above then true
                        when inputs.days_past_due_to <= rules.dpd_above then false
                    end
            when 'EW-08'
                then
                    inputs.instalment_to_income > rules.pti_above
                    and inputs.instalment_to_income
                    >= inputs.instalment_to_income_at_decision * (1.0 + rules.pti_rise_at_least)
            when 'EW-09' then inputs.first_instalments_missed >= rules.missed_at_least
        end as fired,
        case rules.rule_id
            when 'EW-01'
                then case when inputs.dti > rules.dti_above then 'dti' else 'revolving_utilisation' end
            when 'EW-02' then 'days_past_due'
            when 'EW-03' then 'days_past_due'
            when 'EW-08' then 'instalment_to_income'
            when 'EW-09' then 'first_instalments_missed'
        end as measure,
        cast(case rules.rule_id
            when 'EW-01'
                then case when inputs.dti > rules.dti_above then inputs.dti else inputs.revolving_utilisation end
            when 'EW-02' then inputs.days_past_due_from
            when 'EW-03' then inputs.days_past_due_from
            when 'EW-08' then inputs.instalment_to_income
            when 'EW-09' then inputs.first_instalments_missed
        end as double) as measured_value,
        cast(case rules.rule_id
            when 'EW-01'
                then case when inputs.dti > rules.dti_above then rules.dti_above else rules.utilisation_above end
            when 'EW-02' then rules.dpd_from
            when 'EW-03' then rules.dpd_above
            when 'EW-08' then rules.pti_above
            when 'EW-09' then rules.missed_at_least
        end as double) as threshold,
        case rules.rule_id
            when 'EW-01'
                then
                    {{ told('dti', 'inputs.dti') }}
                    || '; ' || {{ told('revolving_utilisation', 'inputs.revolving_utilisation') }}
                    || '; ' || {{ told('delinq_2y', 'inputs.delinq_2y', 0) }}
                    || '; ' || {{ told('inquiries_6m', 'inputs.inquiries_6m', 0) }}
            when 'EW-02' then {{ days_late_told('inputs') }}
            when 'EW-03' then {{ days_late_told('inputs') }}
            when 'EW-08'
                then
                    {{ told('instalment_to_income', 'inputs.instalment_to_income') }}
                    || '; ' || {{ told('at_decision', 'inputs.instalment_to_income_at_decision') }}
            when 'EW-09' then {{ told('first_instalments_missed', 'inputs.first_instalments_missed', 0) }}
        end as evidence
    from {{ ref('int_early_warning_inputs') }} as inputs
    cross join {{ ref('int_early_warning_rules') }} as rules
    where rules.rule_scope = 'loan'

)

select * from judged
