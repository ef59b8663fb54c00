-- One row per loan of the portfolio with only what was known when it was decided. Outcomes, the lender's own offer
-- and restricted attributes are never selected here, so no feature built on this model can read them.
with loans as (

    select * from {{ active_loans() }}

),

-- LendingClub publishes no application date: the first of the issue month is the latest day that cannot leak.
decided as (

    select
        *,
        coalesce(application_date, issue_month) as decision_date,
        coalesce(application_type like 'Joint%', false) as is_joint
    from loans

),

applications as (

    select
        loan_id,
        source_system,
        subject_token,
        decision_date,
        issue_month,
        meets_credit_policy,
        loan_amount,
        term_months,
        purpose,
        application_type,
        verification_status,
        employment_length_years,
        employment_type,
        home_ownership,
        monthly_debt_service,
        dti_is_sentinel,
        collateral_value,
        job_changes_5y,
        income_cv_12m,
        txn_income_regularity_90d,
        txn_nsf_count_90d,
        n_open_accounts,
        n_total_accounts,
        inquiries_6m,
        delinq_2y,
        months_since_last_delinq,
        months_since_last_record,
        months_since_last_major_derog,
        public_records,
        bankruptcies,
        tax_liens,
        collections_12m,
        chargeoffs_12m,
        accounts_now_delinquent,
        delinquent_amount,
        revolving_limit,
        acc_open_past_24m,
        mortgage_accounts,
        months_since_recent_inquiry,
        bankcard_utilisation,
        share_never_delinquent,
        revolving_utilisation as reported_utilisation,
        cast(fico_range_low + fico_range_high as double) / 2.0 as bureau_score,

        -- a joint application is judged on both incomes and both debts
        case when is_joint then coalesce(annual_income_joint, annual_income) else annual_income end as annual_income,
        case when is_joint then coalesce(dti_joint, dti) else dti end as reported_dti,
        case
            when is_joint then coalesce(revolving_balance_joint, revolving_balance) else revolving_balance
        end as revolving_balance,
        coalesce(total_debt, total_current_balance) as total_debt,

        -- a date after the decision cannot have been known at it
        case when earliest_credit_line <= decision_date then earliest_credit_line end as earliest_credit_line,
        case when account_open_date <= decision_date then account_open_date end as account_open_date
    from decided

)

select * from applications
