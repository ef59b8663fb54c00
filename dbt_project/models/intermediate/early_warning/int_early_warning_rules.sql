{{ config(materialized='table') }}
-- The rules in force on the last day the book knows of: one version of each at most (tests/early_warning_rules.sql).
with book as (

    select max(observed_through) as as_of
    from {{ ref('loan_outcomes') }}

),

in_force as (

    select
        book.as_of,
        rules.*
    from {{ ref('early_warning_rules') }} as rules
    cross join book
    where
        book.as_of >= rules.effective_from
        and book.as_of <= coalesce(rules.effective_to, book.as_of)

)

select * from in_force
