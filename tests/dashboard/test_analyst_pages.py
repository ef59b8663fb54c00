"""The pages beyond the portfolio, in process: figures are their marts, filters bear on them, faults leave the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.dashboard import lake
from credit_risk_platform.dashboard.charts import curves
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.pages.early_warning import LIGHTS, NOT_MEASURABLE, _with_lights
from credit_risk_platform.dashboard.pages.parts import whole_book
from credit_risk_platform.dashboard.queries import vintages
from credit_risk_platform.settings import Settings
from tests.dashboard_book_pages import LOAN, TOKEN, new_book

PAGES = ("vintages", "expected_loss", "models", "early_warning", "approvals", "loans", "loan")
CARS = Filters(date(2024, 3, 1), date(2025, 6, 30), bands=("High", "Very High"), purposes=("car",))
NOBODY = Filters(date(1990, 1, 1), date(1990, 2, 1))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = new_book(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRP_HOME", str(settings.home))
        yield settings


@pytest.fixture(scope="module")
def warehouse(book: Settings) -> Iterator[DuckLakeWarehouse]:
    opened = DuckLakeWarehouse(book.paths.warehouse)
    yield opened
    opened.close()


def opened(name: str, filters: Filters | None = None, **query: str) -> AppTest:
    def script(name, filters):  # type: ignore[no-untyped-def]  # its text is run without this module
        import importlib

        importlib.import_module(f"credit_risk_platform.dashboard.pages.{name}").page(filters)

    app = AppTest.from_function(script, args=(name, filters or Filters()), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception[0].stack_trace
    return app


@pytest.fixture(scope="module")
def unfiltered(book: Settings) -> Callable[[str], AppTest]:
    """A page without a filter, run once for all that look at it."""
    return cache(lambda name: opened(name, loan=LOAN) if name == "loan" else opened(name))


def shown(app: AppTest) -> str:
    """All that a reader can read, and what travels to the browser for a table or a chart."""
    words = [
        element.value
        for kind in ("markdown", "caption", "info", "error", "warning", "code")
        for element in app.get(kind)
    ]
    tables = [element.value.to_csv() for element in app.dataframe]
    return "\n".join([*words, *tables, *(chart.proto.spec for chart in app.get("plotly_chart"))])


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def data(app: AppTest, key: str) -> list[dict[str, Any]]:
    chart = next(
        one for one in app.get("plotly_chart") if f"-{key}-" in one.proto.id or one.proto.id.endswith(f"-{key}")
    )
    return list(json.loads(chart.proto.spec)["data"])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_its_parts_without_a_persons_token(unfiltered: Callable[[str], AppTest], name: str) -> None:
    app = unfiltered(name)
    assert not [text for text in shown(app).splitlines() if "not there yet" in text]
    assert not app.error
    assert TOKEN not in shown(app)


@pytest.mark.parametrize("name", PAGES[:-1])
def test_filters_that_leave_nothing_say_so(book: Settings, name: str) -> None:
    app = opened(name, NOBODY)
    assert app.info
    assert "nan" not in " ".join(figures(app).values())


def test_vintage_curves_without_a_filter_are_the_mart(book: Settings, warehouse: DuckLakeWarehouse) -> None:
    drawn = lake.rows(vintages.CURVES.format(where="true"))
    mart = warehouse.query(
        "select cohort, months_on_book, default_rate, default_rate_by_amount from gold.vintage_curves "
        "where cohort_kind = 'quarter' order by cohort, months_on_book"
    )
    for rate in ("default_rate", "default_rate_by_amount"):
        assert drawn[rate].to_pylist() == pytest.approx(mart[rate].to_pylist(), nan_ok=True), rate
    where, params = CARS.where()
    filtered = curves.seasoned(lake.rows(vintages.CURVES.format(where=where), params))
    last = filtered.sort_by([("cohort", "ascending"), ("months_on_book", "descending")]).to_pylist()[0]
    by_hand = warehouse.query(
        f"select count(*) as loans, "
        "sum(case when date_diff('month', issue_month, default_date) <= 24 then 1 else 0 end) as bad "
        f"from gold.portfolio_loans where {where} and date_trunc('quarter', issue_month) = date '2024-01-01'",
        params,
    ).to_pylist()[0]
    assert (last["loans"], last["defaulted_loans"]) == (by_hand["loans"], by_hand["bad"])


def test_rolls_and_default_rates_without_a_filter_are_the_marts(book: Settings, warehouse: DuckLakeWarehouse) -> None:
    moves = lake.rows(vintages.ROLLS.format(where="true"), [12]).to_pylist()
    mart = warehouse.query("select * from gold.roll_rates where period = 'latest 12 months'").to_pylist()
    assert {(row["from_state"], row["to_state"]): row["loans"] for row in moves} == {
        (row["from_state"], row["to_state"]): row["loans"] for row in mart if row["loans"]
    }
    drawn = lake.rows(vintages.TREND.format(where="true"))
    trend = warehouse.query("select * from gold.default_trend order by month_end")
    for name in ("month_end", "new_defaults", "complete"):
        assert drawn[name].to_pylist() == trend[name].to_pylist(), name
    assert drawn["default_rate_12m"].to_pylist() == pytest.approx(trend["default_rate_12m"].to_pylist(), nan_ok=True)


def test_filters_change_figures_rows_and_charts_alike(book: Settings, warehouse: DuckLakeWarehouse) -> None:
    where, params = CARS.where()
    loss = warehouse.query(f"select sum(ecl) as ecl from gold.loan_ecl where {where}", params)["ecl"][0].as_py()
    app = opened("expected_loss", CARS)
    assert "not filtered by issue month" in shown(app)  # the scenarios
    assert figures(app)["Expected credit loss"] == f"{loss:,.2f}" if loss < 1e4 else f"{loss / 1e3:,.2f}k"
    assert sum(sum(y or 0 for y in bar["y"]) for bar in data(app, "ecl-stages")) == pytest.approx(loss)
    provisioned = warehouse.query(f"select count(*) as n from gold.loan_ecl where {where}", params)["n"][0].as_py()
    waterfall = dict(zip(data(app, "ecl-waterfall")[0]["x"], data(app, "ecl-waterfall")[0]["y"], strict=True))
    assert waterfall["stage moves"] == pytest.approx(20 * provisioned)  # each loan of the book moved by 20 and by 10
    assert waterfall["opening"] == pytest.approx(loss - 30 * provisioned)
    loans = warehouse.query(f"select count(*) as n from gold.portfolio_loans where {where}", params)["n"][0].as_py()
    listed = opened("loans", CARS)
    assert len(listed.dataframe[0].value) == loans
    assert set(listed.dataframe[0].value["purpose"]) == {"car"}


def test_what_a_filter_does_not_bear_on_says_so(unfiltered: Callable[[str], AppTest]) -> None:
    assert whole_book(CARS) == "not filtered by issue month, risk band, purpose"
    assert whole_book(CARS, applied=("issue month",)) == "not filtered by risk band, purpose"
    assert "not filtered by" not in shown(unfiltered("expected_loss"))


def test_the_list_is_cut_and_sorted_by_the_lake(book: Settings, warehouse: DuckLakeWarehouse) -> None:
    app = opened("loans")
    first = app.dataframe[0].value
    assert len(first) == 100
    assert first["pd"].is_monotonic_decreasing
    app.number_input(key="loans-page").set_value(3).run()
    third = app.dataframe[0].value
    assert not set(first["loan_id"]) & set(third["loan_id"])
    app.selectbox(key="loans-sort").set_value("Most days past due").run()
    late = app.dataframe[0].value["days_past_due"]
    assert late.dropna().is_monotonic_decreasing
    assert late.isna().iloc[-1]  # what nobody knows comes last


def test_a_score_leads_to_all_it_was_made_from(unfiltered: Callable[[str], AppTest]) -> None:
    text = shown(unfiltered("loan"))
    for part in (
        "crp replay b-score-0012", "runs/run-of-tuesday", "runs/run-of-features", "0f9379b4cce0", "abababababab",
        "cd12score-00", "0131e86a37d2", "assets/gold/application_features", "2007.1",
        "Excessive obligations in relation to income",
    ):  # fmt: skip
        assert part in text, part


def test_an_unknown_loan_is_no_error(book: Settings) -> None:
    assert opened("loan", loan="'; drop table gold.portfolio_loans; --").warning[0].value.startswith("There is no loan")


def test_what_could_not_be_measured_is_never_green(book: Settings) -> None:
    rows = pa.table({"status": ["measured", "not_measurable", "not measurable", None, "something new"]})
    assert _with_lights(rows)["status"].to_pylist() == [["measured"], *[[NOT_MEASURABLE]] * 4]
    assert LIGHTS.get(NOT_MEASURABLE) is None


def test_a_suppressed_group_stands_there_without_a_figure(unfiltered: Callable[[str], AppTest]) -> None:
    app = unfiltered("approvals")
    table = next(one.value for one in app.dataframe if "Reading" in one.value)
    other = table[table["Group"] == "other"].iloc[0]
    assert other["Reading"] == "suppressed"
    assert other[["Selected", "Ratio"]].isna().all()
    assert "screening statistic, not a legal test" in shown(app)


def test_bars_that_do_not_sum_are_told(book: Settings, warehouse: DuckLakeWarehouse) -> None:
    kept = warehouse.query("select * from gold.ecl_waterfall")
    warehouse.replace_table(
        "gold.ecl_waterfall", kept.filter(pa.array([step != "scenario" for step in kept["step"].to_pylist()]))
    )
    try:
        assert "12,000.00 of the change unexplained" in opened("expected_loss").error[0].value
    finally:
        warehouse.replace_table("gold.ecl_waterfall", kept)


def test_a_table_that_is_missing_is_named_and_the_rest_stays(book: Settings, tmp_path: Any) -> None:
    warehouse = DuckLakeWarehouse(tmp_path / "warehouse")
    warehouse.replace_table("gold.kpi_summary", pa.table({"as_of": pa.array([], pa.date32())}))
    warehouse.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRP_HOME", str(tmp_path))
        text = shown(opened("vintages"))
    assert "materialise [gold/vintage_curves]" in text
    assert "materialise [gold/roll_forecast]" in text
