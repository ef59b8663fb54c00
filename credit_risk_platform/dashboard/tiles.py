"""The five figures at the top: each is one query, and says it.

`{where}` is the filter bar's predicate; its values are bound. A figure without any row behind it is a dash, not a zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.parts import amount

PORTFOLIO_VALUE = "select sum(balance) as value from gold.portfolio_loans where is_open and {where}"
ACTIVE_LOANS = "select count(*) as value from gold.portfolio_loans where is_open and {where}"
AVERAGE_DPD = "select avg(days_past_due) as value from gold.portfolio_loans where is_open and {where}"
HIGH_RISK_LOANS = "select count(*) as value from gold.high_risk_loans where {where}"
DEFAULT_RATES = """
with months as (
    select
        month_end, date_diff('month', date '2000-01-01', month_end) as month_no,
        date_diff('month', date '2000-01-01', issue_month) as issue_no,
        sum(case when dpd_bucket in ('90-119', '120+') then 0 else loans end) as performing_loans,
        sum(new_defaults) as new_defaults
    from gold.portfolio_months
    where {where}
    group by month_end, issue_month
),

book as (
    select month_no, sum(performing_loans) as performing_loans
    from months
    group by month_no
),

calendar as (
    select month_end, date_diff('month', date '2000-01-01', month_end) as month_no, complete
    from gold.default_trend
)

select
    c.month_end, c.complete, any_value(b.performing_loans) as performing_year_ago,
    coalesce(sum(m.new_defaults), 0) as defaults_12m,
    coalesce(sum(m.new_defaults), 0) / nullif(any_value(b.performing_loans), 0) as default_rate
from calendar as c
left join book as b on b.month_no = c.month_no - 12
left join months as m on m.month_no > c.month_no - 12 and m.month_no <= c.month_no and m.issue_no <= c.month_no - 12
group by c.month_end, c.complete
order by c.month_end
"""
"""Of the loans that were performing 12 months ago, how many have defaulted since: `gold.default_trend`, filtered."""
DEFAULT_RATE = f"""
with rates as ({DEFAULT_RATES})

select default_rate as value, lag(default_rate) over (order by month_end) as before, month_end
from rates
where complete
order by month_end desc
limit 1
"""


NO_FIGURE = "n/a"


@dataclass(frozen=True)
class Tile:
    """A figure: its title, its query, how it is written, and what it means."""

    title: str
    sql: str
    words: Callable[[Any], str]
    meaning: str

    def row(self, filters: Filters) -> dict[str, Any]:
        """The query's only row: `value`, for a rate also `before` (a month earlier)."""
        where, params = filters.where()
        found = lake.rows(self.sql.format(where=where), params).to_pylist()
        return found[0] if found else {"value": None}

    def draw(self, filters: Filters) -> None:
        try:
            row = self.row(filters)
        except lake.NotThereError as missing:
            st.metric(self.title, NO_FIGURE, help=str(missing), border=True)
            return
        value, before = row["value"], row.get("before")
        st.metric(
            self.title,
            NO_FIGURE if value is None else self.words(value),
            delta=None if value is None or before is None else f"{100 * (value - before):+.2f} pp on the month before",
            delta_color="inverse",
            help=self.meaning if value is None else f"{self.meaning} Exactly: {value:,}.",
            border=True,
            height="stretch",
        )


TILES = (
    Tile("Total portfolio value", PORTFOLIO_VALUE, amount, "Principal still owed on open loans."),
    Tile("Active loans", ACTIVE_LOANS, "{:,}".format, "Open loans, those in default included."),
    Tile(
        "Default rate, 12 months",
        DEFAULT_RATE,
        "{:.2%}".format,
        "Of the loans that were performing 12 months ago, how many have defaulted since; last month that is all known.",
    ),
    Tile("Average days past due", AVERAGE_DPD, "{:.1f}".format, "Over open loans whose arrears can be measured."),
    Tile(
        "High-risk loans",
        HIGH_RISK_LOANS,
        "{:,}".format,
        "Open loans in band High or Very High, on the watch list, or 30 and more days past due.",
    ),
)


def draw(filters: Filters) -> None:
    """All five, side by side; below each other where there is no room."""
    with st.container(horizontal=True):
        for tile in TILES:
            tile.draw(filters)
