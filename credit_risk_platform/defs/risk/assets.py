"""How well a transition matrix foretells a year: its twelfth power beside what became of the loans."""

from typing import Any

import dagster as dg

from credit_risk_platform.adapters import markdown, roll_plots
from credit_risk_platform.adapters import roll_forecast as forecasts
from credit_risk_platform.adapters.roll_forecast import PANEL, TABLE, TRANSITIONS, Forecast
from credit_risk_platform.adapters.table_version import table_version
from credit_risk_platform.adapters.warehouse.base import Warehouse
from credit_risk_platform.catalog import Gold, Group, Owner

LOAN_MONTHS = dg.AssetKey(["silver", "int_loan_month_panel"])
WORDS = {
    "from_state": "Days past due of the loans on known_on; those in default already are not forecast.",
    "known_on": "Month end up to which the moves of the matrix were known: twelve months before realised_on.",
    "realised_on": "Latest month end of the book.",
    "loans": "Loans in the state on known_on.",
    "defaulted_loans": "Of them, those 90 days past due or charged off at any month end since.",
    "forecast": "Share foretold: the moves of the year before known_on, as a monthly matrix, to the power of twelve.",
    "realised": "defaulted_loans / loans.",
    "low": "Lower end of the 95 % interval of realised (Wilson).",
    "high": "Upper end of the 95 % interval of realised (Wilson).",
    "next_loans": "Loans in the state on realised_on.",
    "next_forecast": "Share foretold to default in the twelve months to come, by the matrix of the latest year.",
}
"""The table's columns in an analyst's words."""


@dg.asset(
    key=Gold.ROLL_FORECAST,
    deps=[Gold.LOAN_TRANSITIONS, LOAN_MONTHS],
    group_name=Group.RISK,
    owners=[Owner.ANALYTICS],
    kinds={"python", "duckdb"},
    code_version="1",
    pool="dbt",  # moves and panel of one build: no other swaps the tables between two queries
    description=(
        "Default within twelve months by bucket of days past due: foretold by the roll rates that were known a year "
        "ago (their matrix to the power of twelve, default and closed absorbing) beside what came true, and the same "
        "forecast from today. The power takes the bucket for all that matters and forgets a loan's age and history: "
        "read it together with its error. Empty for a book without a repayment record."
    ),
)
def roll_forecast(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    if absent := [table for table in (TRANSITIONS, PANEL) if not warehouse.exists(table)]:
        raise dg.Failure(
            f"{', '.join(absent)} not there yet: materialise {', '.join(name.replace('.', '/') for name in absent)} "
            "first",
            allow_retries=False,
        )
    found = forecasts.forecast(warehouse)
    warehouse.replace_table(TABLE, found.rows)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(table_version(warehouse, TABLE, found.rows.column_names)),
        metadata={
            "dagster/row_count": found.rows.num_rows,
            "dagster/table_name": f"lake.{TABLE}",
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, kind, description=WORDS[name]) for name, kind in warehouse.columns(TABLE).items()]
            ),
            **_shown(found),
        },
    )


def _shown(found: Forecast) -> dict[str, Any]:
    """Pictures and totals; why there are none, where the book has no history."""
    if not found.rows.num_rows:
        return {"verdict": "the book has no repayment record by month, so there are no moves to learn from"}
    totals = {
        "book_forecast": forecasts.book_rate(found.rows, "forecast", "loans"),
        "book_realised": forecasts.book_rate(found.rows, "realised", "loans"),
        "book_next_forecast": forecasts.book_rate(found.rows, "next_forecast", "next_loans"),
    }
    told = {name: value for name, value in totals.items() if value is not None}
    pictures = {"by_state": dg.MetadataValue.md(markdown.records(found.rows))}
    if "book_forecast" not in told:
        return {**told, **pictures, "verdict": f"nothing was known of the book's moves on {found.known_on} yet"}
    return {
        **told,
        **pictures,
        "matrix": dg.MetadataValue.md(roll_plots.heat_map(found.moves)),
        "forecast": dg.MetadataValue.md(roll_plots.forecast_bars(found.rows)),
    }
