-- The loans on the book that deserve a look now, with every reason in words. Riskiest band or segment, or 30 days late.
with flagged as (

    select
        *,
        risk_band in ('High', 'Very High') as is_risky,
        coalesce(watch_segment = 'high', false) as is_watched,
        coalesce(days_past_due_at_least >= 30, false) as is_late
    from {{ ref('portfolio_loans') }}
    where is_open

),

listed as (

    select
        loan_id,
        purpose,
        status,
        risk_band,
        pd,
        days_past_due,
        balance,
        case when is_risky then '; risk band ' || risk_band else '' end
        || case
            when is_late
                then
                    '; ' || cast(days_past_due_at_least as varchar)
                    || case when days_past_due is null then ' or more' else '' end
                    || ' days past due'
            else ''
        end
        || case when is_watched then '; early warning ' || rule_ids else '' end as found,
        rule_ids,
        score_id,
        issue_month,
        as_of
    from flagged
    where is_risky or is_watched or is_late

),

loans as (

    select
        loan_id,
        purpose,
        status,
        risk_band,
        pd,
        days_past_due,
        balance,
        substring(found, 3) as reasons,
        rule_ids,
        score_id,
        issue_month,
        as_of
    from listed

)

select * from loans
