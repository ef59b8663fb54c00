"""Reports people sign: the same day gives the same bytes, and every number leads to the event that made it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
import yaml

from credit_risk_platform.adapters.reports import rule_history
from credit_risk_platform.adapters.reports.portfolio_risk import RECOGNITION_LAG_MONTHS
from credit_risk_platform.adapters.reports.section import plain
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.catalog import Gold, Models, Monitoring
from credit_risk_platform.defs import decisions
from credit_risk_platform.defs.reports import definitions
from credit_risk_platform.settings import PROJECT_ROOT, Settings
from tests.decision_book import make_decision_book
from tests.policy_book import write_policy
from tests.report_book import DAY, TABLES, fill, fill_ecl, made
from tests.scoring_book import Book

RISK = Monitoring.REPORT_PORTFOLIO_RISK


@dataclass
class Office:
    """A lake, an instance, and the room that writes reports."""

    settings: Settings
    warehouse: DuckLakeWarehouse
    instance: dg.DagsterInstance
    book: Book | None = None

    def write(self, key: dg.AssetKey, day: date | None = DAY) -> Any:
        """Metadata of the report, and its check as `check`."""
        bundles = self.book.bundles if self.book else None
        result = dg.materialize(
            list(definitions(self.settings).assets or ()),
            selection=[key],
            partition_key=day.isoformat() if day else None,
            instance=self.instance,
            resources={"settings": self.settings, "warehouse": self.warehouse, "bundles": bundles},
        )
        (event,) = result.get_asset_materialization_events()
        checks = result.get_asset_check_evaluations()
        told = {name: value.value for name, value in event.materialization.metadata.items()}
        return {**told, "check": checks[0] if checks else None}

    def data(self, told: Any) -> dict[str, Any]:
        return json.loads((Path(told["path"]).parent / f"{told['sha256'][:16]}.json").read_bytes())


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    settings = Settings(home=tmp_path_factory.mktemp("lake"))
    warehouse = DuckLakeWarehouse(settings.paths.warehouse)
    with dg.DagsterInstance.ephemeral() as instance:
        fill(warehouse, instance)
        yield Office(settings, warehouse, instance)
    warehouse.close()


@pytest.fixture
def office(lake: Office, tmp_path: Path) -> Office:
    """The lake of all tests, and a shelf of this one's own."""
    return replace(lake, settings=Settings(home=tmp_path))


@contextmanager
def changed(office: Office, table: str, rows: pa.Table) -> Iterator[None]:
    """Other rows in a table for a while, and the event of their making."""
    kept = office.warehouse.query(f"select * from {table}")
    office.warehouse.replace_table(table, rows)
    made(office.instance, dg.AssetKey(table.split(".")))
    yield
    office.warehouse.replace_table(table, kept)


def figures(data: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one["value"] for section in data["sections"] for one in section["figures"]}


def section(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in data["sections"] if one["id"] == name)


def numbers_without_a_link(page: str) -> list[str]:
    return re.findall(r'<span class="bare"[^>]*>([^<]*)<', page)


def test_what_was_not_computed_yet_is_named_and_never_a_zero(office: Office) -> None:
    told = office.write(Monitoring.REPORT_ECL)
    data = office.data(told)
    assert {one["missing"].split(" of ")[0] for one in data["sections"][:2]} == {
        "not made yet: materialise gold/loan_ecl"
    }
    assert not figures(data)
    fill_ecl(office.warehouse, office.instance)
    completed = office.write(Monitoring.REPORT_ECL)
    assert completed["check"].passed  # it was completed, nothing was restated
    data = office.data(completed)
    told = figures(data)
    assert (told["coverage"], told["ECL (IFRS 9)"], told["allowance (CECL)"]) == (0.052, 130, 150)
    stages = section(data, "stages")["tables"][0]["rows"]
    assert stages == [["Stage 1", 2, 2000, 10, 0.005, 30], ["Stage 2", 1, 500, 120, 0.24, 120]]
    assert [row[1] for row in section(data, "waterfall")["tables"][0]["rows"]] == [100, 30, 130]
    assert Path(completed["path"]).read_text().count("<rect") == 3  # the waterfall is drawn
    (scenarios,) = section(data, "scenarios")["tables"]
    assert [row[0] for row in scenarios["rows"]] == ["baseline", "severely_adverse"]
    assert scenarios["row_sources"] == ["gold/stress_ecl@baseline", "gold/stress_ecl@severely_adverse"]


def test_the_portfolio_report_says_what_the_marts_of_that_day_say(office: Office) -> None:
    data = office.data(office.write(RISK))
    told = figures(data)
    assert (told["Open loans"], told["Balance"], told["New defaults in the month"]) == (3, 2500.5, 1)
    assert told["Mean PD"] == 0.12  # (0.02 + 0.04 + 0.30) / 3
    assert told["HHI by purpose"] == 1
    assert plain(Decimal("143185641.26")) == 143185641.26  # cents stay, however large the book
    # 2025-03, the last month of the quarter, + 10 + the lag of 5 = 2026-06; month 11 is known a month later only.
    assert section(data, "vintages")["tables"][0]["rows"] == [["2025-01-01", 10, 100, 7, 0.07]]
    assert [row[0] for row in section(data, "delinquency")["tables"][0]["rows"]] == ["Current", "30-59"]
    assert [row[0] for row in section(data, "defaults")["tables"][0]["rows"]] == ["2026-06-30"]
    assert section(data, "watchlist")["tables"][1]["rows"] == [["EW-01", 1], ["EW-03", 1]]


def test_the_same_day_made_again_gives_the_same_bytes_and_stays_one_version(office: Office) -> None:
    first = office.write(RISK)
    folder = Path(first["path"]).parent
    before = {file.name: file.read_bytes() for file in folder.glob("*.json") if file.name != "versions.json"}
    made(office.instance, Gold.PORTFOLIO_MONTHS)  # built again, to the same content
    again = office.write(RISK)
    assert again["check"].passed
    assert (again["versions"], again["restated"], again["sha256"]) == (1, False, first["sha256"])
    assert {f.name: f.read_bytes() for f in folder.glob("*.json") if f.name != "versions.json"} == before
    page = (folder / "index.html").read_text()
    embedded = re.search(r'<script type="application/json" id="data">\n(.*?)</script>', page, re.DOTALL)
    assert embedded
    assert embedded[1].encode() == before[f"{first['sha256'][:16]}.json"]


def test_every_number_leads_to_an_event_of_the_instance(office: Office) -> None:
    fill_ecl(office.warehouse, office.instance)
    for key in (RISK, Monitoring.REPORT_ECL):
        told = office.write(key)
        page = Path(told["path"]).read_text()
        assert (told["without_an_event"], told["not_made_yet"]) == ("none", "none")
        assert not numbers_without_a_link(page)
        (version,) = json.loads((Path(told["path"]).parent / "versions.json").read_bytes())
        for source, event in version["evidence"].items():
            asset, _, partition = source.partition("@")
            wanted = dg.AssetRecordsFilter(dg.AssetKey(asset.split("/")), storage_ids=[event["storage_id"]])
            (record,) = office.instance.fetch_materializations(wanted, limit=1).records
            assert (record.partition_key or "", record.run_id) == (partition, event["run_id"])
            assert event["url"].endswith(f"/assets/{asset}?view=events&time={int(record.timestamp * 1000)}")
        linked = set(re.findall(r'href="(http[^"]*view=events[^"]*)"', page.replace("&amp;", "&")))
        assert linked == {event["url"] for event in version["evidence"].values()}


def test_a_changed_figure_changes_the_figure_and_its_link_and_the_old_version_stays(office: Office) -> None:
    first = office.write(RISK)
    old = (Path(first["path"]).parent / f"{first['sha256'][:16]}.html").read_bytes()
    other = "select * replace (balance + 1 as balance) from gold.portfolio_months where dpd_bucket = '30-59'"
    with changed(office, "gold.portfolio_months", office.warehouse.query(other)):
        second = office.write(RISK)
        third = office.write(RISK)
    assert figures(office.data(second))["Balance"] == 501.5
    assert not second["check"].passed
    assert second["check"].severity is dg.AssetCheckSeverity.WARN
    assert "Open book, Balance: 2500.5 → 501.5" in second["check"].metadata["differs"].value
    folder = Path(second["path"]).parent
    assert (folder / f"{first['sha256'][:16]}.html").read_bytes() == old
    page = (folder / "index.html").read_text()
    assert "<strong>Restated.</strong>" in page
    assert f"{first['sha256'][:16]}.html" in page
    one, two = (v["evidence"]["gold/portfolio_months"] for v in json.loads((folder / "versions.json").read_bytes()))
    assert one["storage_id"] < two["storage_id"]
    assert third["check"].passed  # the new version is the one to compare with from now on


def test_an_old_day_keeps_what_a_table_of_the_present_has_forgotten(office: Office) -> None:
    first = office.write(RISK)
    later = [{**row, "as_of": date(2026, 7, 31), "exposure": Decimal("1.00")} for row in TABLES["gold.watchlist"]]
    with changed(office, "gold.watchlist", pa.Table.from_pylist(later)):
        again = office.write(RISK)
    assert (again["sha256"], again["restated"]) == (first["sha256"], False)
    (version,) = json.loads((Path(again["path"]).parent / "versions.json").read_bytes())
    assert version["carried"] == ["watchlist"]
    (latest,) = office.instance.fetch_materializations(dg.AssetRecordsFilter(Gold.WATCHLIST), limit=1).records
    assert version["evidence"]["gold/watchlist"]["storage_id"] < latest.storage_id


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A champion, and decisions with their notices, by the rooms that make them."""
    book = make_decision_book(tmp_path_factory.mktemp("house"), 300)
    settings = Settings(home=book.home)
    room = [Gold.POLICY_VERSIONS, Gold.FRAUD_SIGNALS, Gold.DECISIONS, Gold.REFERRAL_QUEUE, Gold.ADVERSE_ACTION_NOTICES]
    resources = {"settings": settings, "warehouse": book.warehouse, "bundles": book.bundles, "policies": book.policies}
    with dg.DagsterInstance.ephemeral() as instance:
        assets = list(decisions.definitions(settings).assets or ())
        dg.materialize(assets, selection=room, instance=instance, resources=resources)
        for key in (Models.CHAMPION, Gold.TRAINING_SET, Gold.LOAN_OUTCOMES):
            made(instance, key)
        yield Office(settings, book.warehouse, instance, book)
    book.close()


def test_the_log_holds_every_decline_with_its_reasons_and_no_person(house: Office) -> None:
    told = house.write(Monitoring.REPORT_ADVERSE_ACTION_LOG)
    data = house.data(told)
    declined = house.warehouse.query("select * from gold.decisions where outcome = 'decline'").to_pylist()
    assert len(declined) > 10
    rows = {row[1]: row for row in section(data, "declines")["tables"][0]["rows"]}
    assert set(rows) == {one["score_id"] for one in declined}
    for one in declined:
        assert all(
            f"{code} {text}" in rows[one["score_id"]][7]
            for code, text in zip(one["reasons"], one["reason_texts"], strict=True)
        )
        assert rows[one["score_id"]][3] == "written"
    assert figures(data)["Notices written"] == len(declined)
    page = Path(told["path"]).read_text()
    assert not [one for one in declined if one["subject_token"] in page]
    assert not numbers_without_a_link(page)


def test_the_card_and_the_review_of_a_version_are_kept_under_its_name(house: Office) -> None:
    assert house.book
    sha = house.book.champion.sha256
    card, review = (house.write(key, None) for key in (Models.MODEL_CARD, Monitoring.REPORT_MODEL_VALIDATION))
    for told in (card, review):
        assert Path(told["path"]).parent.name == f"v1-{sha[:12]}"
        assert "compliant" not in Path(told["path"]).read_text().lower()
    data = house.data(card)
    inputs = {row[0]: row for row in section(data, "features")["tables"][0]["rows"]}
    assert set(inputs) == {feature.name for feature in house.book.champion.features}
    assert inputs["dti"][4] == "model"
    assert "another one by now" in section(data, "data")["missing"]  # the book's fingerprint is no real one
    assert {"Owner", "In force since", "Why it was promoted, and the gates it passed"} <= set(figures(data))
    moved = section(house.data(review), "sensitivity")["tables"][0]["rows"]
    assert {row[0] for row in moved} == {"dti", "loan_to_income", "revolving_utilisation"}
    assert house.write(Models.MODEL_CARD, None)["sha256"] == card["sha256"]


def test_who_changed_which_rule_when_stands_on_the_rule_page(house: Office, tmp_path: Path) -> None:
    seeds = tmp_path / "dbt_project" / "seeds" / "policy"
    seeds.mkdir(parents=True)
    source = (PROJECT_ROOT / "dbt_project" / "seeds" / "policy" / "early_warning_rules.csv").read_text()
    (seeds / "early_warning_rules.csv").write_text(source)
    policy = write_policy(tmp_path / "policies")
    without = rule_history.report(house.warehouse, tmp_path, policy.parent, DAY)
    assert "is no git clone" in without.sections[0].notes[0]

    def git(*command: str, author: str = "Ada") -> None:
        who = ("-c", f"user.name={author}", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *who, *command], check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first rules")
    lines = source.splitlines(keepends=True)
    changed = [line.replace(",0.4,0.8,", ",0.45,0.8,") if line.startswith("EW-01,") else line for line in lines]
    (seeds / "early_warning_rules.csv").write_text("".join(changed))
    git("commit", "-q", "-a", "-m", "EW-01 milder\n\nReviewed-by: Grace", author="Bob")
    told = rule_history.report(house.warehouse, tmp_path, policy.parent, DAY).data()
    rules = {row[0]: row for row in section(told, "early_warning")["tables"][0]["rows"]}
    assert (rules["EW-01"][9], rules["EW-02"][9]) == ("Bob", "Ada")
    assert "dti_above 0.45" in rules["EW-01"][8]
    commits = section(told, "commits")["tables"][0]["rows"]
    assert [row[3:5] for row in commits if row[2] == "Bob"] == [["EW-01 milder", "Reviewed-by: Grace"]]
    hard = section(told, "policy_rules")["tables"][0]["rows"]
    assert section(told, "policies")["tables"][0]["rows"][0][0] == "2007.1"
    assert all(row[2] == "Ada" for row in hard)


def test_the_lag_of_the_curves_is_the_one_of_the_marts() -> None:
    project = yaml.safe_load((PROJECT_ROOT / "dbt_project" / "dbt_project.yml").read_text())
    assert project["vars"]["recognition_lag_months"] == RECOGNITION_LAG_MONTHS
