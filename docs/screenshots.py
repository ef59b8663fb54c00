"""Pictures of the running UI for the README: `.venv/bin/python docs/screenshots.py --home data`.

Starts Dagster's web server, the API and the dashboard on a home that a demo has filled, opens the pages in headless
Chromium and writes `docs/images/*.png`. The code server reads the same settings as every other command on that home.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from credit_risk_platform.cli.dashboard import HEALTH
from credit_risk_platform.cli.home import CommandError, open_home
from credit_risk_platform.cli.probes import fetch
from credit_risk_platform.cli.processes import Servers, until_ready
from credit_risk_platform.cli.serving import reserve_ports, start_api, start_dagster, start_dashboard

IMAGES = Path(__file__).parent / "images"
GRAPH_MILLISECONDS, PAGE_MILLISECONDS = 40_000, 20_000

GRAPH = {
    "lineage": ("assets/models/champion?view=lineage&lineageScope=upstream&lineageDepth=12", "2600,1400"),
    "stream": ("assets/gold/message_trace?view=lineage&lineageScope=upstream&lineageDepth=3", "2200,1200"),
}
PAGES = {
    "groups": ("asset-groups", "2000,1100"),
    "bronze_loans": ("assets/bronze/{source}_loans?view=overview", "1800,1300"),
    "application_features": ("assets/gold/application_features?view=overview", "1800,1300"),
    "application_features_checks": ("assets/gold/application_features?view=checks", "1800,1300"),
    "leaderboard": ("assets/models/leaderboard?view=overview", "1800,1300"),
    "champion": ("assets/models/champion?view=overview", "1800,1300"),
    "portfolio_scores": ("assets/gold/portfolio_scores?view=overview", "1800,1300"),
    "automation": ("automation", "1800,900"),
    "micro_batches": ("runs?q[]=job:micro_batch_scoring", "1800,900"),
    "decisions": ("assets/gold/decisions?view=overview", "1800,2700"),
    "cutoff_curve": ("assets/gold/cutoff_curve?view=overview", "1800,2100"),
    "platform_health": ("assets/monitoring/platform_health?view=overview", "1800,1900"),
    "application_scores": ("assets/gold/application_scores?view=overview", "1800,1300"),
}
API_DOCS, DASHBOARD = "api_docs", "dashboard"
# Every switch that keeps a headless browser off the network and out of the user's profile.
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def main(
    home: Annotated[Path | None, typer.Option(help="A home that a demo has filled.")] = None,
    only: Annotated[str, typer.Option(help="Name of one picture; all when empty.")] = "",
) -> None:
    """Take every picture, or one of them."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise CommandError("Chromium is missing: apt-get install chromium")
    settings = reserve_ports(open_home(home), Console())
    IMAGES.mkdir(exist_ok=True)
    with Servers(settings) as servers:
        if only in ("", API_DOCS):
            api = start_api(settings, servers)
            until_ready(api, lambda: fetch(f"{api.url}/readyz") is not None)
            photograph(chromium, f"{api.url}/docs", IMAGES / f"{API_DOCS}.png", "1500,1150", PAGE_MILLISECONDS)
        if only in ("", DASHBOARD):
            dashboard = start_dashboard(settings, servers)
            until_ready(dashboard, lambda: fetch(f"{dashboard.url}{HEALTH}") is not None)
            photograph_dashboard(chromium, str(dashboard.url), IMAGES / f"{DASHBOARD}.png")
        if only in (API_DOCS, DASHBOARD):
            return
        url = start_dagster(settings, servers, automate=False)
        for name, (page, size) in {**GRAPH, **PAGES}.items():
            if only in ("", name):
                budget = GRAPH_MILLISECONDS if name in GRAPH else PAGE_MILLISECONDS
                address = f"{url}/{page.format(source=settings.portfolio_source.value)}"
                photograph(chromium, address, IMAGES / f"{name}.png", size, budget)


def photograph(chromium: str, url: str, target: Path, size: str, milliseconds: int) -> None:
    """One page as PNG, after it had `milliseconds` of its own time to load and to draw."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [chromium, *FLAGS, f"--user-data-dir={profile}", f"--window-size={size}",
             f"--virtual-time-budget={milliseconds}", f"--screenshot={target}", url],
            check=True,
            capture_output=True,
            timeout=180,
        )  # fmt: skip
    print(f"{target.name}: {target.stat().st_size // 1024} kB  {url}")


def photograph_dashboard(chromium: str, url: str, target: Path) -> None:
    """Its pages come over a socket, for which Chromium's own picture-taking does not wait."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1360})
        page.goto(url)
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length === 8")
        page.wait_for_timeout(3_000)
        page.screenshot(path=target)
        browser.close()
    print(f"{target.name}: {target.stat().st_size // 1024} kB  {url}")


if __name__ == "__main__":
    typer.run(main)
