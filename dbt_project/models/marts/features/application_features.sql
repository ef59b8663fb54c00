{%- if alternative_data() -%}
    {#- The contract lists the columns without the switch. -#}
    {{ config(contract={'enforced': false}) }}
{%- endif -%}
-- Every application-time feature, one row per loan. Batch, micro-batch and API run this same compiled SQL, so it
-- reads int_applications and int_macro_published and nothing else. The registry is domain/features.py.
with applications as (

    select
        *,
        cast(annual_income as double) / 12.0 as monthly_income,
        {{ emi('loan_amount', var('reference_annual_rate'), 'term_months') }} as emi
    from {{ ref('int_applications') }}

),

-- Few days, many loans: the as-of join runs once per decision day.
decision_days as (

    select distinct decision_date from {{ ref('int_applications') }}

),

macro_by_day as (

    select
        decision_days.decision_date,
        published.unemployment_rate_pub,
        published.policy_rate_pub,
        published.gdp_growth_pub,
        published.unemployment_change_12m,
        published.inflation_pub,
        published.consumer_sentiment_pub
    from decision_days
    {{ asof_left_join(
        ref('int_macro_published'), 'published', 'decision_days.decision_date >= published.valid_from'
    ) }}

),

burdens as (

    select
        *,
        coalesce(
            {{ ratio('monthly_debt_service', 'monthly_income') }},
            case when annual_income > 0 then reported_dti end
        ) as dti,
        {{ ratio('emi', 'monthly_income') }} as emi_to_income,
        coalesce({{ ratio('revolving_balance', 'revolving_limit') }}, reported_utilisation) as revolving_utilisation,
        -- a publisher of balance and utilisation has told the limit, too
        coalesce(
            cast(revolving_limit as double), {{ ratio('revolving_balance', 'reported_utilisation') }}
        ) as total_revolving_limit
    from applications

),

features as (

    select
        burdens.loan_id,
        burdens.source_system,
        burdens.subject_token,
        burdens.decision_date,
        burdens.issue_month,
        burdens.meets_credit_policy,

        -- request
        cast(burdens.loan_amount as double) as loan_amount,
        cast(burdens.term_months as double) as term_months,
        burdens.purpose,
        burdens.application_type,
        burdens.emi,
        burdens.emi_to_income,
        {{ ratio('burdens.loan_amount', 'burdens.annual_income') }} as loan_to_income,
        {{ ratio('burdens.loan_amount', 'burdens.collateral_value') }} as ltv,

        -- income and debts
        cast(burdens.annual_income as double) as annual_income,
        cast(burdens.monthly_income as double) as monthly_income,
        {{ flag('coalesce(burdens.annual_income, 0) <= 0') }} as income_is_missing,
        burdens.verification_status,
        cast(burdens.employment_length_years as double) as employment_length_years,
        burdens.employment_type,
        burdens.home_ownership,
        burdens.dti,
        {{ flag('burdens.dti_is_sentinel') }} as dti_is_sentinel,
        burdens.dti + burdens.emi_to_income as post_loan_dti,
        {{ ratio('burdens.total_debt', 'burdens.annual_income') }} as debt_to_annual_income,
        {{ income_stability(
            'burdens.employment_length_years', 'burdens.income_cv_12m', 'burdens.job_changes_5y'
        ) }} as income_stability,
        burdens.txn_income_regularity_90d,
        cast(burdens.txn_nsf_count_90d as double) as txn_nsf_count_90d,

        -- revolving credit
        cast(burdens.revolving_balance as double) as revolving_balance,
        {{ ratio('burdens.revolving_balance', 'burdens.annual_income') }} as revolving_balance_to_income,
        {{ ratio('burdens.total_revolving_limit', 'burdens.annual_income') }} as revolving_limit_to_income,
        burdens.revolving_utilisation,
        {{ flag('burdens.revolving_utilisation > 1') }} as revolving_is_over_limit,
        {{ band_of('burdens.revolving_utilisation', var('util_bands')) }} as util_band,
        burdens.bankcard_utilisation,

        -- bureau
        cast(burdens.bureau_score as double) as bureau_score,
        {{ band_of('burdens.bureau_score', var('score_bands')) }} as score_band,
        cast(datediff('month', burdens.earliest_credit_line, burdens.decision_date) as double) as credit_history_months,
        cast(datediff('month', burdens.account_open_date, burdens.decision_date) as double) as account_age_months,
        cast(burdens.n_open_accounts as double) as n_open_accounts,
        cast(burdens.n_total_accounts as double) as n_total_accounts,
        {{ ratio('burdens.n_open_accounts', 'burdens.n_total_accounts') }} as open_to_total_accounts,
        cast(burdens.acc_open_past_24m as double) as acc_open_past_24m,
        cast(burdens.mortgage_accounts as double) as mortgage_accounts,
        cast(burdens.inquiries_6m as double) as inquiries_6m,
        cast(burdens.months_since_recent_inquiry as double) as months_since_recent_inquiry,
        cast(burdens.delinq_2y as double) as delinq_2y,
        cast(burdens.months_since_last_delinq as double) as months_since_last_delinq,
        cast(burdens.months_since_last_record as double) as months_since_last_record,
        cast(burdens.months_since_last_major_derog as double) as months_since_last_major_derog,
        cast(burdens.public_records as double) as public_records,
        cast(burdens.bankruptcies as double) as bankruptcies,
        cast(burdens.tax_liens as double) as tax_liens,
        cast(burdens.collections_12m as double) as collections_12m,
        cast(burdens.chargeoffs_12m as double) as chargeoffs_12m,
        cast(burdens.accounts_now_delinquent as double) as accounts_now_delinquent,
        cast(burdens.delinquent_amount as double) as delinquent_amount,
        burdens.share_never_delinquent,{{ cashflow_columns() }}

        -- economy as published by the decision day
        macro_by_day.unemployment_rate_pub,
        macro_by_day.policy_rate_pub,
        macro_by_day.gdp_growth_pub,
        macro_by_day.unemployment_change_12m,
        macro_by_day.inflation_pub,
        macro_by_day.consumer_sentiment_pub
    from burdens
    left join macro_by_day on burdens.decision_date = macro_by_day.decision_date{{ cashflow_join() }}

)

select * from features
