-- Every loan of the book as it stands on the last day the book knows of. The other risk marts are built on this one.
-- A loan is on the book until it is repaid or charged off: one in default still is. How late it is comes from the panel
-- at the latest month end, else from what its source publishes; what nobody can tell is null and never "current".
with outcomes as (

    select * from {{ ref('loan_outcomes') }}

),

book as (

    select max(observed_through) as as_of
    from outcomes

),

latest_months as (

    select
        loan_id,
        max(month_end) as month_end
    from {{ ref('int_loan_month_panel') }}
    group by loan_id

),

observed as (

    select
        panel.loan_id,
        panel.status,
        panel.balance,
        panel.days_past_due,
        panel.dpd_bucket
    from {{ ref('int_loan_month_panel') }} as panel
    inner join latest_months
        on panel.loan_id = latest_months.loan_id and panel.month_end = latest_months.month_end

),

published as (

    select
        loan_id,
        purpose,
        state,
        grade,
        interest_rate,
        loan_status,
        outstanding_principal,
        {{ published_days_past_due_from('loan_status') }} as days_past_due_from,
        {{ published_days_past_due_to('loan_status') }} as days_past_due_to
    from {{ active_loans() }}

),

bracketed as (

    select
        *,
        {{ band_of('days_past_due_from', var('dpd_buckets')) }} as bucket_from,
        {{ band_of('days_past_due_to', var('dpd_buckets')) }} as bucket_to
    from published

),

placed as (

    select
        outcomes.loan_id,
        book.as_of,
        case
            when bracketed.loan_status = 'Charged Off' then 'Charged Off'
            when outcomes.closed_date is not null or bracketed.loan_status = 'Fully Paid' then 'Closed'
            when observed.status is not null then observed.status
            when bracketed.loan_status = 'Default' then 'Default'
            when bracketed.days_past_due_from > 0 then 'In Arrears'
            else 'Current'
        end as status,
        -- LendingClub dates a charge-off by the last payment, which comes months before it
        case
            when outcomes.default_date > outcomes.closed_date then outcomes.default_date
            else outcomes.closed_date
        end as left_on,
        coalesce(
            observed.days_past_due,
            case
                when bracketed.days_past_due_from = bracketed.days_past_due_to then bracketed.days_past_due_from
            end
        ) as days_past_due,
        coalesce(observed.days_past_due, bracketed.days_past_due_from) as days_past_due_at_least,
        coalesce(
            observed.dpd_bucket,
            case when bracketed.bucket_from = bracketed.bucket_to then bracketed.bucket_from end
        ) as dpd_bucket,
        coalesce(observed.balance, bracketed.outstanding_principal, outcomes.loan_amount) as balance,
        case
            when observed.balance is not null then 'balance at the latest month end'
            when bracketed.outstanding_principal is not null then 'published principal'
            else 'amount lent'
        end as balance_basis
    from outcomes
    inner join bracketed on outcomes.loan_id = bracketed.loan_id
    left join observed on outcomes.loan_id = observed.loan_id
    cross join book

),

standing as (

    select
        *,
        status not in ('Charged Off', 'Closed') as is_open,
        case
            when status in ('Charged Off', 'Closed') then least(coalesce(left_on, as_of), as_of)
        end as left_date
    from placed

),

latest_scored as (

    select
        loan_id,
        max(as_of) as as_of
    from {{ source('platform', 'portfolio_scores') }}
    group by loan_id

),

scores as (

    select
        scored.loan_id,
        scored.as_of,
        scored.score_id,
        scored.pd,
        scored.points,
        scored.band,
        scored.decision
    from {{ source('platform', 'portfolio_scores') }} as scored
    inner join latest_scored on scored.loan_id = latest_scored.loan_id and scored.as_of = latest_scored.as_of

),

loans as (

    select
        outcomes.loan_id,
        outcomes.source_system,
        outcomes.issue_month,
        outcomes.decision_date,
        coalesce(bracketed.purpose, 'unknown') as purpose,
        bracketed.state,
        bracketed.grade,
        outcomes.term_months,
        outcomes.loan_amount,
        bracketed.interest_rate,
        features.bureau_score,
        standing.status,
        standing.is_open,
        cast(case when standing.is_open then standing.balance else 0 end as decimal(18, 2)) as balance,
        case when standing.is_open then standing.balance_basis else 'left the book' end as balance_basis,
        cast(case when standing.is_open then standing.days_past_due end as integer) as days_past_due,
        cast(
            case when standing.is_open then standing.days_past_due_at_least end as integer
        ) as days_past_due_at_least,
        case when standing.is_open then standing.dpd_bucket end as dpd_bucket,
        cast(
            datediff('month', outcomes.issue_month, coalesce(standing.left_date, standing.as_of)) as integer
        ) as months_on_book,
        outcomes.default_date,
        outcomes.closed_date,
        standing.left_date,
        outcomes.matured,
        outcomes.is_bad,
        outcomes.meets_credit_policy,
        case when standing.is_open and scores.pd is not null then scores.pd else origination.pd end as pd,
        case when standing.is_open and scores.pd is not null then scores.points else origination.points end as points,
        coalesce(
            case when standing.is_open and scores.pd is not null then scores.band else origination.risk_band end,
            'Not scored'
        ) as risk_band,
        scores.score_id,
        scores.as_of as scored_on,
        case
            when standing.is_open and scores.pd is not null then scores.decision
            else origination.decision
        end as decision,
        segments.segment as watch_segment,
        segments.rule_ids,
        standing.as_of
    from outcomes
    inner join standing on outcomes.loan_id = standing.loan_id
    inner join bracketed on outcomes.loan_id = bracketed.loan_id
    left join {{ ref('application_features') }} as features on outcomes.loan_id = features.loan_id
    left join scores on outcomes.loan_id = scores.loan_id
    left join {{ source('platform', 'origination_scores') }} as origination
        on outcomes.loan_id = origination.loan_id
    left join {{ ref('risk_segments') }} as segments on outcomes.loan_id = segments.loan_id

)

select * from loans
