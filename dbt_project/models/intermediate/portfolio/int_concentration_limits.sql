-- The limits in force on the last day the book knows of: one of each segment at most (tests/concentration_limits.sql).
with book as (

    select max(observed_through) as as_of
    from {{ ref('loan_outcomes') }}

),

in_force as (

    select
        book.as_of,
        limits.limit_version,
        limits.author,
        limits.kind,
        limits.segment,
        limits.limit_share,
        limits.amber_share
    from {{ ref('concentration_limits') }} as limits
    cross join book
    where
        book.as_of >= limits.effective_from
        and book.as_of <= coalesce(limits.effective_to, book.as_of)

)

select * from in_force
