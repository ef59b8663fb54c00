"""Loans on the book made in SQL, month end by month end: what the tests of the behavioural model stand on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from credit_risk_platform.adapters.warehouse.base import Select
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.features import Stage, of_stages

OBSERVED_THROUGH = date(2026, 6, 30)
FEATURES = [feature.name for feature in of_stages(Stage.BEHAVIOUR)]
LIFE = 30
"""Months each loan is on the book, unless it defaults."""


def build_book(warehouse: DuckLakeWarehouse, loans: int = 2_000, *, weight: float = 0.5) -> None:
    """gold.behaviour_features and gold.loan_outcomes of `loans` loans issued from 2016 on, and gold.risk_bands.

    A careless payer (`temper` near 1) is often a little late and defaults with probability `weight`; the two months
    before a default are 30 and 60 days past due.
    """
    lives = f"""
        select
            'L' || lpad(cast(i as varchar), 6, '0') as loan_id,
            cast(date '2016-01-01' + to_months(cast(i % 96 as integer)) as date) as issue_month,
            {_u("temper")} as temper,
            case when {_u("fate")} < {weight} * {_u("temper")}
                then 5 + cast(floor({LIFE - 6} * {_u("when")}) as integer) end as default_age
        from range({loans}) as r(i)
    """
    panel = f"""
        select *, last_day(cast(issue_month + to_months(age) as date)) as month_end, {_u("month", "loan_id, age")} as u
        from ({lives}) as lives, (select cast(unnest(range(1, {LIFE})) as integer) as age) as ages
        where last_day(cast(issue_month + to_months(age) as date)) <= date '{OBSERVED_THROUGH}'
          and age <= coalesce(default_age + 1, {LIFE})
    """
    values = {
        "dpd_current": "case when age > default_age - 3 then 30.0 * (3 + age - default_age) "
        "when u < 0.3 * temper then 12.0 else 0.0 end",
        "late_cnt_6m": "floor(4 * temper * u)",
        "late_cnt_12m": "floor(7 * temper)",
        "months_on_book": "cast(age as double)",
        "balance_to_original": f"1.0 - age / {LIFE}.0",
        "payment_history_pct": "1.0 - 0.4 * temper",
    }
    columns = ", ".join(f"cast({values.get(name, 'u')} as double) as {name}" for name in FEATURES)
    warehouse.replace_table(
        "gold.behaviour_features", Select(f"select loan_id, month_end as observation_month, {columns} from ({panel})")
    )
    defaulted = "last_day(cast(issue_month + to_months(default_age) as date))"
    warehouse.replace_table("gold.loan_outcomes", Select(f"""
        select loan_id, issue_month, date '{OBSERVED_THROUGH}' as observed_through,
            case when {defaulted} <= date '{OBSERVED_THROUGH}' then {defaulted} end as default_date
        from ({lives}) as lives
    """))  # fmt: skip
    warehouse.replace_table("gold.risk_bands", Select(
        "select 'v1' as policy_version, date '2020-01-01' as effective_from, 1 as band_order, 'Any' as band, "
        "cast(0 as double) as pd_lower, cast(1.000001 as double) as pd_upper"
    ))  # fmt: skip


def no_panel(warehouse: DuckLakeWarehouse, loans: int = 50) -> None:
    """A book like LendingClub's: outcomes, but nothing known of its instalments."""
    build_book(warehouse, loans)
    warehouse.replace_table("gold.behaviour_features", Select("select * from gold.behaviour_features where false"))


def write_lives(warehouse: DuckLakeWarehouse, lives: Sequence[tuple[str, date | None, str]]) -> None:
    """Loans issued in January 2020 and observed through 2022, written out: (id, default date, DPD as SQL).

    The third entry may speak of `month_end`. Every feature but DPD, age and balance is zero.
    """
    rows = " union all ".join(
        f"select '{loan_id}' as loan_id, {_date(default)} as default_date, month_end, cast({dpd} as double) as dpd, "
        "datediff('month', date '2020-01-01', month_end) as age from months"
        for loan_id, default, dpd in lives
    )
    panel = f"""
        with months as (
            select last_day(cast(month as date)) as month_end
            from generate_series(date '2020-02-01', date '2022-12-01', interval 1 month) as series (month)
        )
        {rows}
    """
    values = {"dpd_current": "dpd", "months_on_book": "age", "balance_to_original": "0.5"}
    columns = ", ".join(f"cast({values.get(name, '0')} as double) as {name}" for name in FEATURES)
    warehouse.replace_table(
        "gold.behaviour_features", Select(f"select loan_id, month_end as observation_month, {columns} from ({panel})")
    )
    outcomes = " union all ".join(
        f"select '{loan_id}' as loan_id, {_date(default)} as default_date, date '2022-12-31' as observed_through"
        for loan_id, default, _ in lives
    )
    warehouse.replace_table("gold.loan_outcomes", Select(outcomes))


def _u(salt: str, of: str = "i") -> str:
    """A reproducible uniform number in [0, 1) per loan (or per `of`)."""
    return f"(cast(hash({of}, '{salt}') % 1000003 as double) / 1000003)"


def _date(day: date | None) -> str:
    return f"date '{day}'" if day else "cast(null as date)"
