{{ config(materialized='view') }}
-- What the lender offered. Its own price and grade: for reporting and pricing, never for the application PD.
with loans as (

    select * from {{ active_loans() }}

),

offers as (

    select
        loan_id,
        cast(funded_amount as double) as funded_amount,
        interest_rate as int_rate,
        grade,
        sub_grade,
        cast(instalment as double) as instalment_billed,
        round({{ emi('loan_amount', 'interest_rate', 'term_months') }}, 2) as emi_contractual
    from loans

)

select * from offers
