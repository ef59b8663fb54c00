{% set a_year_before = "last_day(" ~ months_after('book.month_end', -12) ~ ")" %}
-- The default rate of the book over time. Of the loans that were open and not in default a year before, how many have
-- defaulted since: loans issued since then are in neither number, so growth does not flatter the rate or spoil it.
with months as (

    select
        month_end,
        issue_month,
        sum(loans) as open_loans,
        sum(case when dpd_bucket in ('90-119', '120+') then 0 else loans end) as performing_loans,
        sum(new_defaults) as new_defaults,
        max(case when balance_basis = 'balance at the month end' then 1 else 0 end) as has_panel
    from {{ ref('portfolio_months') }}
    group by month_end, issue_month

),

book as (

    select
        month_end,
        cast(sum(open_loans) as bigint) as open_loans,
        cast(sum(performing_loans) as bigint) as performing_loans,
        cast(sum(new_defaults) as bigint) as new_defaults
    from months
    group by month_end

),

-- A book without a repayment record learns of a default up to so many months late.
knowledge as (

    select
        case
            when max(has_panel) = 1 then max(month_end)
            else last_day({{ months_after('max(month_end)', -var('recognition_lag_months')) }})
        end as known_until
    from months

),

defaults_of_a_year as (

    select
        book.month_end,
        cast(sum(months.new_defaults) as bigint) as defaults_12m
    from book
    inner join months
        on
            months.month_end > {{ a_year_before }}
            and book.month_end >= months.month_end
            and months.issue_month <= {{ a_year_before }}
    group by book.month_end

),

followed as (

    select
        book.month_end,
        book.open_loans,
        book.performing_loans,
        book.new_defaults,
        month_before.performing_loans as performing_loans_before,
        year_before.performing_loans as performing_loans_12m_ago,
        case
            when year_before.month_end is not null then coalesce(defaults_of_a_year.defaults_12m, 0)
        end as defaults_12m,
        book.month_end <= knowledge.known_until as complete
    from book
    cross join knowledge
    left join book as month_before on month_before.month_end = last_day({{ months_after('book.month_end', -1) }})
    left join book as year_before on year_before.month_end = {{ a_year_before }}
    left join defaults_of_a_year on book.month_end = defaults_of_a_year.month_end

),

rates as (

    select
        month_end,
        open_loans,
        performing_loans,
        new_defaults,
        {{ ratio('new_defaults', 'performing_loans_before') }} as monthly_default_rate,
        performing_loans_12m_ago,
        defaults_12m,
        {{ ratio('defaults_12m', 'performing_loans_12m_ago') }} as default_rate_12m,
        complete
    from followed

)

select * from rates
order by month_end
