with source as (

    select * from {{ source('bronze', 'synthetic_repayments') }}

),

renamed as (

    select
        loan_id,
        instalment_number,
        due_date,
        amount_due,
        principal_due,
        interest_due,
        paid_date,
        amount_paid,
        principal_paid,
        interest_paid,
        opening_balance,
        closing_balance,
        known_at,
        _batch
    from source

)

select * from renamed
