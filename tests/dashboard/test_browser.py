"""The dashboard as its readers meet it: a server, a lake that is written to, and Chromium."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.dashboard import tiles
from credit_risk_platform.dashboard.filters import Filters
from credit_risk_platform.dashboard.places import PLACES
from credit_risk_platform.settings import Settings
from tests.dashboard_book import new_book
from tests.dashboard_server import browser, dashboard, until

WIDE, PHONE = {"width": 1600, "height": 1200}, {"width": 390, "height": 844}
HIGH = Filters(bands=("High",))
SECONDS = 10
CHARTS = 8


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return new_book(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def warehouse(book: Settings) -> Iterator[DuckLakeWarehouse]:
    opened = DuckLakeWarehouse(book.paths.warehouse)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(chromium: Browser, book: Settings) -> Iterator[str]:
    with dashboard(book, book.home / "dashboard.log") as address:
        yield address


@pytest.fixture
def page(chromium: Browser, url: str) -> Iterator[Page]:
    """A wide window; at its end, nothing was asked of another machine and nothing went wrong in the page."""
    strangers: list[str] = []
    faults: list[str] = []
    opened = chromium.new_page(viewport=WIDE)
    opened.on("request", lambda request: strangers.append(request.url) if not _ours(request.url, url) else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    opened.close()
    assert strangers == []
    assert faults == []


def _ours(asked: str, url: str) -> bool:
    return asked.startswith((url, "data:", "blob:"))


def visit(page: Page, address: str, charts: int = CHARTS) -> None:
    page.goto(address)
    expect(page.locator(".js-plotly-plot")).to_have_count(charts, timeout=20_000)


def settle(page: Page) -> None:
    """Wait until the page's script has come to its end."""
    state = "document.querySelector('[data-testid=stApp]').dataset.testScriptState"
    page.wait_for_function(f"{state} === 'notRunning'")


def figures(page: Page) -> list[str]:
    return [text.split("\n")[-1] for text in page.get_by_test_id("stMetricValue").all_inner_texts()]


def of_sql(warehouse: DuckLakeWarehouse, chosen: Filters) -> list[str]:
    where, params = chosen.where()
    values = [warehouse.query(tile.sql.format(where=where), params)["value"][0].as_py() for tile in tiles.TILES]
    return [tile.words(value) for tile, value in zip(tiles.TILES, values, strict=True)]


def drawn(page: Page, key: str) -> Any:
    """The data of a chart, as Plotly holds it."""
    pick = "({ x, y, labels, values }) => ({ x, y, labels, values })"
    return page.evaluate(f"document.querySelector('.st-key-{key} .js-plotly-plot')._fullData.map({pick})")


def test_each_tile_shows_what_its_sql_says(page: Page, url: str, warehouse: DuckLakeWarehouse) -> None:
    visit(page, url)
    assert figures(page) == of_sql(warehouse, Filters())
    expect(page.get_by_text(re.compile(r"Data of .* UTC \(snapshot \d+\)"))).to_be_visible()
    page.locator(".st-key-chart-dpd .js-plotly-plot").hover(position={"x": 100, "y": 150})
    expect(page.locator(".st-key-chart-dpd .hoverlayer")).to_contain_text("0 days")


def test_a_filter_changes_tiles_charts_and_file_and_its_link_opens_the_same_view(
    page: Page, chromium: Browser, url: str, warehouse: DuckLakeWarehouse, book: Settings, tmp_path: Path
) -> None:
    visit(page, url)
    page.locator(".st-key-band input").click()
    page.get_by_role("option", name="High", exact=True).click()
    page.keyboard.press("Escape")
    expected = of_sql(warehouse, HIGH)
    until(lambda: figures(page) == expected, lambda: (figures(page), expected))
    assert "band=High" in page.url
    until(lambda: drawn(page, "chart-bands")[0]["labels"] == ["High"])
    until(lambda: sum(drawn(page, "chart-dpd")[0]["y"]) == int(expected[1]), lambda: drawn(page, "chart-dpd"))
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Loans of this filter (CSV)").click()
    download.value.save_as(tmp_path / "loans.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "loans.csv").read_text())))
    assert {row["risk_band"] for row in rows} == {"High"}
    assert (
        len(rows)
        == warehouse.query("select count(*) as n from gold.portfolio_loans where risk_band = 'High'")["n"][0].as_py()
    )
    logged = json.loads((book.paths.exports / "export_log.jsonl").read_text().splitlines()[-1])
    assert (logged["who"], logged["rows"], logged["filter"]) == ("local", len(rows), {"band": ["High"]})
    other = chromium.new_page(viewport=WIDE)
    visit(other, page.url)
    assert figures(other) == expected
    other.close()


def test_a_segment_leads_to_its_loans_and_the_filter_goes_along(page: Page, url: str) -> None:
    visit(page, f"{url}/?purpose=Car")
    page.locator(".st-key-segment-band button", has_text="Medium").click()
    page.wait_for_url(re.compile(r"/loans\?(?=.*band=Medium)(?=.*purpose=Car)"))
    expect(page.get_by_role("heading", name="Loans", exact=True, level=1)).to_be_visible()


def test_an_open_page_shows_a_new_score_within_its_interval(page: Page, url: str, warehouse: DuckLakeWarehouse) -> None:
    visit(page, f"{url}/?refresh={SECONDS}")
    before = figures(page)
    page.evaluate("window.not_loaded_again = true")
    fresh = "select * replace ('L-new' as loan_id, 0.9 as pd, 'Very High' as risk_band) from gold.{} limit 1"
    with warehouse.transaction() as transaction:
        for table in ("portfolio_loans", "high_risk_loans"):
            transaction.append_missing(f"gold.{table}", transaction.query(fresh.format(table)), ["loan_id"])
    expected = of_sql(warehouse, Filters())
    assert expected[4] != before[4]
    # A look every ten seconds, and time to draw on a busy machine: well before the minute that is the default.
    until(lambda: figures(page) == expected, lambda: (figures(page), expected))
    assert page.evaluate("window.not_loaded_again") is True


def test_on_a_phone_no_page_scrolls_sideways_and_the_filters_lie_in_a_drawer(chromium: Browser, url: str) -> None:
    phone = chromium.new_page(viewport=PHONE)
    visit(phone, url)
    for place in (*PLACES[1:], PLACES[0]):
        assert sideways(phone) == 0, phone.url
        expect(phone.locator(".st-key-band input")).not_to_be_in_viewport()
        phone.get_by_test_id("stExpandSidebarButton").click()
        expect(phone.locator(".st-key-band input")).to_be_in_viewport()
        phone.get_by_test_id("stSidebarNavLink").get_by_text(place.title, exact=True).click()
        expect(phone.get_by_role("heading", name=place.title, exact=True, level=1)).to_be_visible()
        phone.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    phone.close()


def sideways(page: Page) -> int:
    """Pixels that a finished page is wider than its window."""
    settle(page)
    return int(
        page.evaluate(
            "Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')]"
            ".map(e => e.scrollWidth - window.innerWidth))"
        )
    )
