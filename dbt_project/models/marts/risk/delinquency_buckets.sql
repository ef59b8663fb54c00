-- How late the book is at each month end. Every bucket stands there for every month, with 0 where no loan is in it.
-- What a source without repayments leaves unknown is a bucket of its own, so that shares are of the whole book.
with months as (

    select
        month_end,
        coalesce(dpd_bucket, 'Not measurable') as dpd_bucket,
        sum(loans) as loans,
        sum(balance) as balance
    from {{ ref('portfolio_months') }}
    where balance_basis <> 'events of the month'
    group by month_end, coalesce(dpd_bucket, 'Not measurable')

),

totals as (

    select
        month_end,
        max(case when dpd_bucket <> 'Not measurable' then 1 else 0 end) as measured,
        max(case when dpd_bucket = 'Not measurable' then 1 else 0 end) as unmeasured,
        sum(loans) as loans,
        sum(balance) as balance
    from months
    group by month_end

),

-- Counting days does not change with the policy: every version has these buckets.
named as (

    select distinct
        bucket_order,
        bucket as dpd_bucket
    from {{ ref('dpd_buckets') }}

    union all

    select
        99 as bucket_order,
        'Not measurable' as dpd_bucket

),

buckets as (

    select
        totals.month_end,
        cast(named.bucket_order as integer) as bucket_order,
        named.dpd_bucket,
        cast(coalesce(months.loans, 0) as bigint) as loans,
        cast(coalesce(months.balance, 0) as decimal(18, 2)) as balance,
        {{ ratio('coalesce(months.loans, 0)', 'totals.loans') }} as share_of_loans,
        {{ ratio('coalesce(months.balance, 0)', 'totals.balance') }} as share_of_balance
    from totals
    inner join named
        on
            (named.dpd_bucket = 'Not measurable' and totals.unmeasured = 1)
            or (named.dpd_bucket <> 'Not measurable' and totals.measured = 1)
    left join months
        on totals.month_end = months.month_end and named.dpd_bucket = months.dpd_bucket

)

select * from buckets
