"""The portfolio risk report of a day: only rows of that day, or of months that had ended by then."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from credit_risk_platform.adapters.reports.section import (
    Column,
    Figure,
    Grid,
    Report,
    Section,
    Source,
    Unit,
    grid,
    not_made,
)
from credit_risk_platform.adapters.warehouse.base import Warehouse

KIND = "portfolio_risk"
MONTHS, BUCKETS, TREND = "gold/portfolio_months", "gold/delinquency_buckets", "gold/default_trend"
SCORES, CURVES, CONCENTRATION, WATCHLIST = (
    "gold/portfolio_scores", "gold/vintage_curves", "gold/concentration", "gold/watchlist",
)  # fmt: skip
TREND_MONTHS = 13
VINTAGE_QUARTERS = 12
TOP_SEGMENTS = 5
TOP_RULES = 10
RECOGNITION_LAG_MONTHS = 5
"""As in dbt_project.yml: so many months after it, the defaults of a month are on record."""


def report(warehouse: Warehouse, as_of: date) -> Report:
    """The report of one day. Sections whose asset was not made say so."""
    made = (_book, _delinquency, _bands, _vintages, _defaults, _concentration, _watchlist)
    return Report(
        KIND, "Portfolio risk", f"Open book on {as_of}", as_of, [section(warehouse, as_of) for section in made]
    )


def _book(warehouse: Warehouse, as_of: date) -> Section:
    told = Section("book", "Open book", "Loans open at the latest month end that had passed, and what they owe.")
    if not warehouse.exists("gold.portfolio_months"):
        return not_made(told, MONTHS)
    sql = """
        select month_end, sum(loans) as loans, sum(balance) as balance, sum(new_loans) as new_loans,
            sum(new_defaults) as new_defaults, sum(closed_loans) as closed_loans
        from gold.portfolio_months
        where month_end = (select max(month_end) from gold.portfolio_months where month_end <= ?)
        group by month_end
    """
    rows = warehouse.query(sql, [as_of]).to_pylist()
    if not rows:
        return replace(told, missing=f"nothing to show: the book has no month end on or before {as_of}")
    row, source = rows[0], Source(MONTHS)
    figures = [
        Figure("Month end", row["month_end"], Unit.TEXT, source),
        Figure("Open loans", row["loans"], Unit.COUNT, source),
        Figure("Balance", row["balance"], Unit.MONEY, source),
        Figure("New loans in the month", row["new_loans"], Unit.COUNT, source),
        Figure("New defaults in the month", row["new_defaults"], Unit.COUNT, source),
        Figure("Closed in the month", row["closed_loans"], Unit.COUNT, source),
    ]
    return replace(told, figures=figures)


def _delinquency(warehouse: Warehouse, as_of: date) -> Section:
    told = Section(
        "delinquency",
        "Delinquency",
        "Days past due at that month end, counted from the oldest unpaid due day.",
    )
    if not warehouse.exists("gold.delinquency_buckets"):
        return not_made(told, BUCKETS)
    sql = """
        select coalesce(dpd_bucket, 'not measurable') as dpd_bucket, loans, balance, share_of_loans, share_of_balance
        from gold.delinquency_buckets
        where month_end = (select max(month_end) from gold.delinquency_buckets where month_end <= ?)
        order by case when dpd_bucket = 'Current' then 0 else coalesce(try_cast(
            regexp_extract(dpd_bucket, '^[0-9]+') as integer), 9999) end, dpd_bucket
    """
    columns = (
        Column("days past due"), Column("loans", Unit.COUNT), Column("balance", Unit.MONEY),
        Column("share of loans", Unit.SHARE), Column("share of balance", Unit.SHARE),
    )  # fmt: skip
    return replace(told, tables=[grid("Buckets", warehouse.query(sql, [as_of]), columns, Source(BUCKETS))])


def _bands(warehouse: Warehouse, as_of: date) -> Section:
    told = Section(
        "bands", "Scores of the day", "PD of every loan neither defaulted nor closed, by the champion of that day."
    )
    source = Source(SCORES, as_of.isoformat())
    if not warehouse.exists("gold.portfolio_scores"):
        return not_made(told, f"{SCORES} of {as_of}")
    # Added up as decimals: a parallel sum of doubles differs in its last bits from run to run.
    sql = """
        select band, count(*) as loans, count(*) / sum(count(*)) over () as share,
            sum(cast(pd as decimal(18, 12))) / count(*) as mean_pd,
            cast(sum(case when decision = 'decline' then 1 else 0 end) as bigint) as declines
        from gold.portfolio_scores where as_of = ? group by band order by min(pd)
    """
    found = warehouse.query(sql, [as_of])
    if not found.num_rows:
        return not_made(told, f"{SCORES} of {as_of}")
    total = """
        select count(*) as loans, sum(cast(pd as decimal(18, 12))) / count(*) as mean_pd,
            string_agg(distinct left(bundle_sha, 12), ', ' order by left(bundle_sha, 12)) as bundles
        from gold.portfolio_scores where as_of = ?
    """
    (whole,) = warehouse.query(total, [as_of]).to_pylist()
    columns = (
        Column("risk band"), Column("loans", Unit.COUNT), Column("share", Unit.SHARE), Column("mean PD", Unit.SHARE),
        Column("policy would decline", Unit.COUNT),
    )  # fmt: skip
    figures = [
        Figure("Loans scored", whole["loans"], Unit.COUNT, source),
        Figure("Mean PD", whole["mean_pd"], Unit.SHARE, source),
        Figure("Model bundle", whole["bundles"], Unit.TEXT, source),
    ]
    return replace(told, figures=figures, tables=[grid("Risk bands", found, columns, source)])


def _vintages(warehouse: Warehouse, as_of: date) -> Section:
    told = Section(
        "vintages",
        "Vintages",
        "Per quarter of issue, the latest age that every one of its loans had reached by then: the share that had "
        "defaulted at that age. A dash where the quarter had not reached it.",
    )
    if not warehouse.exists("gold.vintage_curves"):
        return not_made(told, CURVES)
    sql = f"""
        select cohort, months_on_book, loans, defaulted_loans, default_rate
        from gold.vintage_curves
        where cohort_kind = 'quarter' and cohort <= ? and default_rate is not null
            and cohort + to_months(2 + {RECOGNITION_LAG_MONTHS} + months_on_book) <= cast(? as date)
        qualify row_number() over (partition by cohort order by months_on_book desc) = 1
        order by cohort desc limit ?
    """
    columns = (
        Column("quarter from"), Column("months on book"), Column("loans", Unit.COUNT),
        Column("defaulted", Unit.COUNT), Column("default rate", Unit.SHARE),
    )  # fmt: skip
    rows = warehouse.query(sql, [as_of, _last_complete_month(as_of), VINTAGE_QUARTERS])
    return replace(told, tables=[grid("Latest quarters", rows, columns, Source(CURVES))])


def _defaults(warehouse: Warehouse, as_of: date) -> Section:
    told = Section("defaults", "Defaults", "Complete months: loans open, new defaults, the last twelve months.")
    if not warehouse.exists("gold.default_trend"):
        return not_made(told, TREND)
    sql = """
        select month_end, open_loans, new_defaults, monthly_default_rate, default_rate_12m
        from gold.default_trend where month_end <= ? and complete order by month_end desc limit ?
    """
    columns = (
        Column("month end"), Column("open loans", Unit.COUNT), Column("new defaults", Unit.COUNT),
        Column("monthly default rate", Unit.SHARE), Column("12-month default rate", Unit.SHARE),
    )  # fmt: skip
    rows = warehouse.query(sql, [as_of, TREND_MONTHS])
    return replace(told, tables=[grid("Default trend", rows, columns, Source(TREND))])


def _concentration(warehouse: Warehouse, as_of: date) -> Section:
    told = Section(
        "concentration",
        "Concentration",
        "Largest segments of the open book, against their limits. HHI: sum of squared shares, 1 is one segment only.",
    )
    if not warehouse.exists("gold.concentration"):
        return not_made(told, CONCENTRATION)
    newest = warehouse.query("select max(as_of) as day from gold.concentration")["day"][0].as_py()
    if newest is None or newest > as_of:
        return replace(told, missing=f"{CONCENTRATION} holds only the book of {newest or 'no day'}")
    columns = (
        Column("segment"), Column("loans", Unit.COUNT), Column("exposure", Unit.MONEY), Column("share", Unit.SHARE),
        Column("limit", Unit.SHARE), Column("light"),
    )  # fmt: skip
    sql = """
        select kind, segment, loans, exposure, share, limit_share, light, hhi from gold.concentration
        qualify row_number() over (partition by kind order by exposure desc, segment) <= ? or light = 'red'
        order by kind, exposure desc, segment
    """
    rows = warehouse.query(sql, [TOP_SEGMENTS]).to_pylist()
    kinds = dict.fromkeys(row["kind"] for row in rows)
    source = Source(CONCENTRATION)
    named = ("segment", "loans", "exposure", "share", "limit_share", "light")
    tables = [
        Grid(f"By {kind}", columns, [[row[name] for name in named] for row in rows if row["kind"] == kind], source)
        for kind in kinds
    ]
    hhi = {row["kind"]: row["hhi"] for row in rows}
    figures = [Figure(f"HHI by {kind}", hhi[kind], Unit.NUMBER, source) for kind in kinds]
    return replace(told, figures=figures, tables=tables)


def _watchlist(warehouse: Warehouse, as_of: date) -> Section:
    told = Section("watchlist", "Watch list", "Open loans that early-warning rules name, and the rules that fire most.")
    if not warehouse.exists("gold.watchlist"):
        return not_made(told, WATCHLIST)
    newest = warehouse.query("select max(as_of) as day from gold.watchlist")["day"][0].as_py()
    if newest is not None and newest > as_of:
        return replace(told, missing=f"{WATCHLIST} holds only the book of {newest}")
    source = Source(WATCHLIST)
    segments = """
        select segment, count(*) as loans, sum(exposure) as exposure from gold.watchlist
        group by segment order by segment
    """
    rules = """
        select trim(rule) as rule, count(*) as loans
        from (select unnest(string_split(rule_ids, ',')) as rule from gold.watchlist)
        group by 1 order by 2 desc, 1 limit ?
    """
    counted = (Column("loans", Unit.COUNT),)
    tables = [
        grid("Segments", warehouse.query(segments),
             (Column("segment"), *counted, Column("exposure", Unit.MONEY)), source),
        grid("Rules that fire most", warehouse.query(rules, [TOP_RULES]), (Column("rule"), *counted), source),
    ]  # fmt: skip
    notes = [f"The book is known up to {newest}."] if newest else []
    return replace(told, tables=tables, notes=notes)


def _last_complete_month(as_of: date) -> date:
    """First day of the last month that had ended by then."""
    after = as_of + timedelta(days=1)
    return (after.replace(day=1) - timedelta(days=1)).replace(day=1)
