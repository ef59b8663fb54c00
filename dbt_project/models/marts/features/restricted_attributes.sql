{{ config(materialized='view') }}
-- Protected or proxy attributes, kept apart from every model: fairness monitoring and policy checks only.
with loans as (

    select * from {{ active_loans() }}

),

attributes as (

    select
        loan_id,
        cast(age as double) as age,
        education,
        cast(family_size as double) as family_size,
        {{ ratio('annual_income', 'family_size') }} as per_capita_income,
        state
    from loans

)

select * from attributes
