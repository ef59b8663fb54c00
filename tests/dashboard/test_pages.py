"""The start page in process: its figures are their SQL, filters change all of them, what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.cli.dashboard import SCRIPT
from credit_risk_platform.dashboard import tiles
from credit_risk_platform.dashboard.pages.parts import amount
from credit_risk_platform.settings import Settings
from tests.dashboard_book import LOANS, new_book

SEGMENT = "is_open and risk_band in ('High', 'Very High') and purpose = 'car'"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return new_book(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def warehouse(book: Settings) -> Iterator[DuckLakeWarehouse]:
    opened = DuckLakeWarehouse(book.paths.warehouse)
    yield opened
    opened.close()


@pytest.fixture(scope="module", autouse=True)
def _at_home(book: Settings) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRP_HOME", str(book.home))
        before = config.get_option("server.address")
        config.set_option("server.address", "127.0.0.1")
        yield
        config.set_option("server.address", before)


@pytest.fixture(scope="module")
def everything() -> AppTest:
    """The start page without a filter."""
    return opened()


def opened(**parameters: Any) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=60)
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def charts(app: AppTest) -> dict[str, Any]:
    """Traces of each chart, by the chart's key."""
    found = {}
    for element in app.get("plotly_chart"):
        found[element.proto.id.split("-None")[0].rsplit("-chart-", 1)[-1]] = json.loads(element.proto.spec)["data"]
    return found


def one(warehouse: DuckLakeWarehouse, sql: str) -> Any:
    return warehouse.query(sql).columns[0][0].as_py()


def test_each_tile_is_its_sql(everything: AppTest, warehouse: DuckLakeWarehouse) -> None:
    shown = figures(everything)
    assert list(shown) == [tile.title for tile in tiles.TILES]
    expected = {name: one(warehouse, sql.format(where="true")) for name, sql in (
        ("value", tiles.PORTFOLIO_VALUE), ("loans", tiles.ACTIVE_LOANS), ("rate", tiles.DEFAULT_RATE),
        ("dpd", tiles.AVERAGE_DPD), ("high", tiles.HIGH_RISK_LOANS),
    )}  # fmt: skip
    assert list(shown.values()) == [
        amount(expected["value"]), f"{expected['loans']:,}", f"{expected['rate']:.2%}", f"{expected['dpd']:.1f}",
        f"{expected['high']:,}",
    ]  # fmt: skip
    # 80 % of 300 loans are open by construction (two states of ten are closed or charged off).
    assert expected["loans"] == LOANS * 8 // 10
    # The whole book's rate is the mart's own, of its last month that is all known.
    mart = "select default_rate_12m from gold.default_trend where complete order by month_end desc limit 1"
    assert expected["rate"] == pytest.approx(one(warehouse, mart))


def test_the_arrow_tells_the_change_on_the_month_before(everything: AppTest, warehouse: DuckLakeWarehouse) -> None:
    mart = "select default_rate_12m as r from gold.default_trend where complete order by month_end desc limit 2"
    now, before = warehouse.query(mart)["r"].to_pylist()
    [rate] = [metric for metric in everything.metric if metric.label.startswith("Default rate")]
    assert rate.delta == f"{100 * (now - before):+.2f} pp on the month before"
    assert now > before
    assert rate.proto.color == rate.proto.MetricColor.RED  # more defaults are no good news


def test_filters_in_the_url_change_every_tile_and_every_chart(
    everything: AppTest, warehouse: DuckLakeWarehouse
) -> None:
    app = opened(band=["High", "Very High"], purpose="Car", **{"from": "2024-01-01"})
    assert [widget.value for widget in app.multiselect] == [["High", "Very High"], [], ["car"]]
    shown = figures(app)
    assert shown["Active loans"] == str(one(warehouse, f"select count(*) from gold.portfolio_loans where {SEGMENT}"))
    value = one(warehouse, f"select sum(balance) from gold.portfolio_loans where {SEGMENT}")
    assert shown["Total portfolio value"] == amount(value)
    high = f"select count(*) from gold.high_risk_loans where {SEGMENT.removeprefix('is_open and ')}"
    assert shown["High-risk loans"] == str(one(warehouse, high))
    assert all(shown[title] != figure for title, figure in figures(everything).items())
    all_charts, own_charts = charts(everything), charts(app)
    assert len(own_charts) == 8
    assert all(own_charts[key] != drawn for key, drawn in all_charts.items())


def test_charts_add_up_to_their_tiles(everything: AppTest, warehouse: DuckLakeWarehouse) -> None:
    drawn = charts(everything)
    open_loans = one(warehouse, "select count(*) from gold.portfolio_loans where is_open")
    assert sum(list(drawn["bands"][0]["values"])) == open_loans
    assert drawn["dpd"][0]["x"] == ["0", "1-29", "30-59", "60-89", "90-119", "120+"]
    assert sum(list(drawn["dpd"][0]["y"])) == open_loans
    assert sum(sum(list(band["y"])) for band in drawn["pds"]) == open_loans
    assert sum(sum(list(band["y"])) for band in drawn["scores"]) == open_loans
    lent = list(drawn["purposes"][0]["x"])
    assert lent == sorted(lent)  # the largest on top
    assert sum(lent) == float(one(warehouse, "select sum(loan_amount) from gold.portfolio_loans where is_open"))


def test_the_target_and_months_that_are_not_all_known_are_told_apart(everything: AppTest) -> None:
    rate, rest, target = charts(everything)["default-rate"]
    assert target["y"] == [0.08, 0.08]
    assert rate["y"][-1] is None  # June 2026 is not complete
    assert rest["y"][-1] is not None
    assert rest["fillpattern"]["shape"] == "/"
    assert rest["x"][-1] == "2026-06-30"


def test_a_day_without_loans_is_a_gap_not_a_zero(everything: AppTest) -> None:
    [granted] = charts(everything)["granted"]
    assert len(granted["y"]) == 90
    assert granted["connectgaps"] is False
    assert None in granted["y"]
    assert 0 not in granted["y"]


def test_a_home_without_a_lake_and_a_lake_without_a_mart_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRP_HOME", str(tmp_path))
    assert "crp demo --once" in opened().info[0].value
    bare = DuckLakeWarehouse(tmp_path / "warehouse")
    bare.replace_table("gold.something", bare.query("select 1 as a"))
    bare.close()
    app = opened()
    assert any("gold/portfolio_loans" in note.value for note in app.info)
    assert set(figures(app).values()) == {"n/a"}
