"""How long an analyst waits: the dashboard's start page on a book of 500k loans, in headless Chromium.

    python -m bench.dashboard                    makes the book with SQL, serves it as `crp dashboard` does, reads it
    python -m bench.dashboard --loans 5000000

first reader   the first visit after the server's start: its imports, the lake's opening, every query
first paint    a new window of another reader, before anybody looked at that filter: from the address to five tiles, and
               to the end of the page with its eight charts
again          the same page once more: its rows are kept
filter         one more risk band or purpose chosen in an open page, never chosen before: to five changed tiles, and to
               the end of the page
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.dashboard_book import OTHERS, Size, fill, portfolio_loans, portfolio_months
from tests.dashboard_server import browser, dashboard

CHARTS = 8
NEEDED = ("gold.high_risk_loans", "gold.default_trend")
WINDOW = {"width": 1600, "height": 1200}
FILTERS = [("band", name) for name in ("High", "Very High", "Medium", "Low")] + [
    ("purpose", name) for name in ("Car", "Credit card", "Small business", "Home improvement")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loans", type=int, default=500_000)
    loans = parser.parse_args().loans
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        size = Size(loans, "2018-01-01", 96)
        own = {"gold.portfolio_loans": portfolio_loans(size), "gold.portfolio_months": portfolio_months(size)}
        settings = fill(home, {**own, **{name: OTHERS[name] for name in NEEDED}})
        with dashboard(settings, home / "dashboard.log") as url, browser() as opened:
            figures = measure(opened, url)
    print(f"\n| {loans:,} loans | tiles (s) | whole page (s) |\n|---|---|---|")
    for name, seen in figures.items():
        tiles, whole = (statistics.median(part) for part in zip(*seen, strict=True))
        print(f"| {name}, {len(seen)} | {tiles:.2f} | {whole:.2f} |")
    print(f"load average after: {os.getloadavg()[0]:.1f}")


def measure(opened: Browser, url: str) -> dict[str, list[tuple[float, float]]]:
    """Kind of wait -> seconds to the tiles and to the end of the page, one pair per try."""
    found = {"first reader": [visit(opened, url)]}
    found["first paint"] = [visit(opened, f"{url}/?from={year}-02-01") for year in range(2018, 2024)]
    found["again"] = [visit(opened, url) for _ in range(5)]
    page = opened.new_page(viewport=WINDOW)
    timed(page, lambda: page.goto(url, wait_until="commit"))
    found["filter"] = [choose(page, key, name) for key, name in FILTERS]
    return found


def visit(opened: Browser, address: str) -> tuple[float, float]:
    page = opened.new_page(viewport=WINDOW)
    seconds = timed(page, lambda: page.goto(address, wait_until="commit"))
    page.close()
    return seconds


def choose(page: Page, key: str, name: str) -> tuple[float, float]:
    page.locator(f".st-key-{key} input").click()
    option = page.get_by_role("option", name=name, exact=True)
    option.wait_for()
    seconds = timed(page, option.click, "!==" + repr(tiles(page)))
    page.keyboard.press("Escape")
    return seconds


def timed(page: Page, act: Callable[[], object], changed: str = "!==''") -> tuple[float, float]:
    """Seconds from an act to five tiles that are other than before, and to the end of the page's script."""
    started = time.perf_counter()
    act()
    page.wait_for_function(f"document.querySelectorAll('[data-testid=stMetricValue]').length === 5 && {TILES}{changed}")
    first = time.perf_counter() - started
    page.wait_for_function(
        f"document.querySelectorAll('.js-plotly-plot').length === {CHARTS} && "
        "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
    )
    return first, time.perf_counter() - started


def tiles(page: Page) -> str:
    return str(page.evaluate(TILES))


TILES = "[...document.querySelectorAll('[data-testid=stMetricValue]')].map(e => e.innerText).join(' ')"

if __name__ == "__main__":
    main()
