-- Every rule in force, how much of the book it could judge and how often it fired. A rule without its inputs stands
-- here as not measurable, with the reason: silence is never read as green.
with loan_rules as (

    select
        rule_id,
        count(*) as judged,
        count(fired) as measured,
        count(case when fired then 1 end) as fired
    from {{ ref('int_early_warning_judgements') }}
    where is_current
    group by rule_id

),

portfolio_rules as (

    select
        rule_id,
        count(*) as judged,
        count(case when status <> 'not_measurable' then 1 end) as measured,
        count(case when status = 'fired' then 1 end) as fired
    from {{ ref('portfolio_warnings') }}
    group by rule_id

),

counted as (

    select * from loan_rules
    union all
    select * from portfolio_rules

),

coverage as (

    select
        rules.as_of,
        rules.rule_id,
        rules.rule_version,
        rules.rule_name,
        rules.rule_scope,
        rules.severity,
        cast(coalesce(counted.judged, 0) as bigint) as judged,
        cast(coalesce(counted.measured, 0) as bigint) as measured,
        cast(coalesce(counted.judged - counted.measured, 0) as bigint) as not_measurable,
        cast(coalesce(counted.fired, 0) as bigint) as fired,
        case
            when coalesce(counted.judged, 0) = 0 then 'nothing to judge'
            when counted.measured = 0 then 'not measurable'
            when counted.measured < counted.judged then 'partly measured'
            else 'measured'
        end as status,
        case
            when coalesce(counted.judged, 0) = 0 then 'the book has no open loan'
            when counted.measured < counted.judged then rules.not_measurable_because
        end as reason,
        rules.condition_in_words
    from {{ ref('int_early_warning_rules') }} as rules
    left join counted on rules.rule_id = counted.rule_id

)

select * from coverage
