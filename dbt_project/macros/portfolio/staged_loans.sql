{#-
  The one definition of a staged loan, shared by every loan source: our names, ratios instead of percent points,
  years instead of text, published sentinels as null. Bronze holds more bureau columns; stage one when a feature asks.
-#}
{% macro staged_loans(source_table) %}
with source as (

    select * from {{ source('bronze', source_table) }}

),

staged as (

    select
        loan_id,
        source_system,
        subject_token,
        application_date,
        issue_d as issue_month,
        loan_amnt as loan_amount,
        term as term_months,
        purpose,
        application_type,

        -- applicant
        annual_inc as annual_income,
        verification_status,
        {{ employment_years('emp_length') }} as employment_length_years,
        employment_type,
        case when home_ownership in ('MORTGAGE', 'OWN', 'RENT') then home_ownership else 'OTHER' end as home_ownership,
        {{ reported_ratio('dti') }} as dti,
        coalesce({{ is_sentinel('dti') }}, false) as dti_is_sentinel,
        monthly_debt_service,
        total_debt,
        collateral_value,
        job_changes_5y,
        income_cv_12m,
        txn_income_regularity_90d,
        txn_nsf_count_90d,
        account_open_date,
        annual_inc_joint as annual_income_joint,
        {{ reported_ratio('dti_joint') }} as dti_joint,

        -- bureau
        fico_range_low,
        fico_range_high,
        earliest_cr_line as earliest_credit_line,
        open_acc as n_open_accounts,
        total_acc as n_total_accounts,
        inq_last_6mths as inquiries_6m,
        delinq_2yrs as delinq_2y,
        mths_since_last_delinq as months_since_last_delinq,
        mths_since_last_record as months_since_last_record,
        mths_since_last_major_derog as months_since_last_major_derog,
        pub_rec as public_records,
        pub_rec_bankruptcies as bankruptcies,
        tax_liens,
        collections_12_mths_ex_med as collections_12m,
        chargeoff_within_12_mths as chargeoffs_12m,
        acc_now_delinq as accounts_now_delinquent,
        delinq_amnt as delinquent_amount,
        revol_bal as revolving_balance,
        revolving_limit,
        {{ ratio_of_percent('revol_util') }} as revolving_utilisation,
        revol_bal_joint as revolving_balance_joint,
        acc_open_past_24mths as acc_open_past_24m,
        mort_acc as mortgage_accounts,
        mths_since_recent_inq as months_since_recent_inquiry,
        tot_cur_bal as total_current_balance,
        {{ ratio_of_percent('bc_util') }} as bankcard_utilisation,
        {{ ratio_of_percent('pct_tl_nvr_dlq') }} as share_never_delinquent,

        -- the lender's offer
        funded_amnt as funded_amount,
        {{ ratio_of_percent('int_rate') }} as interest_rate,
        installment as instalment,
        grade,
        sub_grade,

        -- after the decision: outcomes only
        replace(loan_status, 'Does not meet the credit policy. Status:', '') as loan_status,
        coalesce(loan_status not like 'Does not meet the credit policy%', true) as meets_credit_policy,
        last_pymnt_d as last_payment_month,
        out_prncp as outstanding_principal,
        total_rec_prncp as principal_received,
        recoveries,
        default_date,
        closed_date,

        -- restricted
        age,
        education,
        family_size,
        addr_state as state,

        -- lineage
        _batch,
        _row,
        _observed_through as observed_through
    from source

)

select * from staged
{% endmacro %}

{#- 999 and -1 (any negative) are how publishers write "no ratio"; percent points as published. -#}
{% macro is_sentinel(column) -%}
    ({{ column }} < 0 or {{ column }} >= 999)
{%- endmacro %}

{% macro reported_ratio(column) -%}
    case when not {{ is_sentinel(column) }} then {{ ratio_of_percent(column) }} end
{%- endmacro %}
