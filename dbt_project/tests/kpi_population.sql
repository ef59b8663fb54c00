{{ config(severity='error', meta={'dagster': {'ref': {'name': 'kpi_summary'}}}) }}
-- The KPIs count every loan of the book once: in the population, immature, or not measurable; and the population is
-- made of matured loans alone.
with outcomes as (

    select
        count(*) as loans,
        count(case when not matured then 1 end) as immature
    from {{ ref('loan_outcomes') }}

)

select
    kpis.evaluated,
    kpis.book_rows,
    kpis.portfolio_rows,
    kpis.immature_loans,
    kpis.not_measurable_loans
from {{ ref('kpi_summary') }} as kpis
cross join outcomes
where
    kpis.portfolio_rows + kpis.immature_loans + kpis.not_measurable_loans <> kpis.book_rows
    or (
        kpis.evaluated = 'at_decision'
        and (kpis.book_rows <> outcomes.loans or kpis.immature_loans <> outcomes.immature)
    )
