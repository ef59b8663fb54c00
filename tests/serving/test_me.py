"""The customer's own page: a link opens one record, in words meant for its reader, and nothing else ever."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from credit_risk_platform.adapters.customer_links import CustomerLinks, link_secret
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.cli.main import app
from credit_risk_platform.domain.advice import TO_DO, WITH_TIME, advice
from credit_risk_platform.settings import PROJECT_ROOT, Settings
from tests.api_server import home_settings, served

DAYS = 30
NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
COMMON: dict[str, Any] = {
    "loan_id": "LOAN-1", "subject_token": "f" * 64, "channel": "api", "decided_at": datetime(2026, 6, 30, 12),
    "route": "fraud review", "policy_decision": "refer", "rules": ["R05"], "fraud_signals": ["velocity"],
    "pd": 0.287654, "points": 512.25, "policy_version": "2007.1", "model_name": "xgboost", "bundle_sha": "b" * 64,
    "run_id": "run-secret",
}  # fmt: skip
REASONS = {"AA13": "Proportion of revolving balances to revolving credit limits is too high",
           "AA17": "Length of credit history"}  # fmt: skip
DECISIONS = [
    {**COMMON, "score_id": "1" * 32, "outcome": "decline", "band": "Very High", "reasons": list(REASONS),
     "reason_texts": list(REASONS.values())},
    {**COMMON, "score_id": "2" * 32, "outcome": "refer", "band": "Low", "reasons": None, "reason_texts": None},
    {**COMMON, "score_id": "3" * 32, "outcome": "approve", "band": "Low", "reasons": None, "reason_texts": None},
]  # fmt: skip
WAITING = "4" * 32


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("me")
    warehouse = DuckLakeWarehouse(home / "warehouse")
    warehouse.replace_table("gold.decisions", pa.Table.from_pylist(DECISIONS))
    warehouse.replace_table("gold.application_scores", pa.table({"score_id": [WAITING], "as_of": [date(2026, 6, 30)]}))
    bands = '{"names": ["Very Low", "Low", "Medium", "High", "Very High"], "edges": [0, 1]}'
    warehouse.replace_table("gold.policy_versions", pa.table({"policy_version": ["2007.1"], "bands": [bands]}))
    warehouse.close()
    return home_settings(home, customer_contact="Write to disputes@lender.example")


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with served(settings, ready=False) as keyed, httpx.Client(base_url=keyed.base_url) as stranger:
        yield stranger


@pytest.fixture(scope="module")
def links(settings: Settings) -> CustomerLinks:
    return CustomerLinks(link_secret(settings.paths.secrets), DAYS)


def opened(client: httpx.Client, links: CustomerLinks, score_id: str, made: datetime | None = None) -> httpx.Response:
    return client.get(f"/me/{links.token(score_id, made or datetime.now(UTC))}")


def words(page: str) -> str:
    """What a reader sees."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))


def test_a_link_needs_no_key_and_shows_the_decision_its_reasons_and_what_would_help(
    client: httpx.Client, links: CustomerLinks
) -> None:
    told = opened(client, links, "1" * 32)
    assert told.status_code == 200
    text = words(told.text)
    assert "Not approved" in text
    assert "very high risk" in text
    assert [text.index(reason) for reason in REASONS.values()] == sorted(text.index(r) for r in REASONS.values())
    assert TO_DO["AA13"] in text
    assert WITH_TIME["AA17"] in text
    assert "no promise" in text
    assert "disputes@lender.example" in text


@pytest.mark.parametrize("score_id", ["1" * 32, "2" * 32, "3" * 32])
def test_nothing_internal_stands_on_the_page(client: httpx.Client, links: CustomerLinks, score_id: str) -> None:
    page = opened(client, links, score_id).text
    internal = ["0.28", "28.7", "512", "R05", "velocity", "fraud", "xgboost", "b" * 12, "f" * 12, "run-secret",
                "2007.1", "AA13", "LOAN-1"]  # fmt: skip
    assert not [one for one in internal if one in page]


def test_each_link_opens_its_own_record_only(client: httpx.Client, links: CustomerLinks) -> None:
    pages = {one["score_id"]: opened(client, links, one["score_id"]).text for one in DECISIONS}
    for score_id, page in pages.items():
        assert score_id in page
        assert not [other for other in pages if other != score_id and other in page]
    assert "Being looked at" in pages["2" * 32]
    assert "Approved" in pages["3" * 32]
    waiting = words(opened(client, links, WAITING).text)
    assert "Received" in waiting
    assert "risk" not in waiting


def test_a_link_that_ended_was_forged_or_leads_nowhere_gets_one_and_the_same_page(
    client: httpx.Client, links: CustomerLinks
) -> None:
    now = datetime.now(UTC)
    good = links.token("1" * 32, now)
    body, stamp, signature = good.rsplit(".", 2)
    other = links.token("2" * 32, now).rsplit(".", 2)[0]
    refused = [
        links.token("1" * 32, now - timedelta(days=DAYS, minutes=1)),
        links.token("1" * 32, now + timedelta(days=1)),
        CustomerLinks(b"another secret of some length", DAYS).token("1" * 32, now),
        f"{other}.{stamp}.{signature}",
        f"{body}.{stamp}.{signature[:-2]}AA",
        links.token("9" * 32, now),
        links.token("1" * 8, now),  # the beginning of an id opens nothing
        "1" * 32,
        "x" * 5_000,
    ]
    answers = [client.get(f"/me/{token}") for token in refused]
    assert {told.status_code for told in answers} == {404}
    (page,) = {told.text for told in answers}
    assert "Not approved" not in page
    assert client.get(f"/me/{good}").status_code == 200
    assert opened(client, links, "1" * 32, now - timedelta(days=DAYS - 1)).status_code == 200


def test_the_page_is_kept_nowhere_loads_nothing_and_tells_no_one_where_its_reader_came_from(
    client: httpx.Client, links: CustomerLinks, settings: Settings
) -> None:
    for told in (opened(client, links, "1" * 32), client.get("/me/forged")):
        assert told.headers["cache-control"] == "no-store"
        assert told.headers["referrer-policy"] == "no-referrer"
        assert told.headers["content-type"].startswith("text/html")
        (policy,) = told.headers.get_list("content-security-policy")
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert not re.search(r"(src|href)=|<script|<form", told.text)
    token = links.token("1" * 32, datetime.now(UTC))
    client.get(f"/me/{token}")
    written = "".join(file.read_text() for file in settings.paths.api.rglob("*.jsonl"))
    assert "/me/{token}" in written
    assert token not in written
    assert client.get("/api/v1/scores/" + "1" * 32).status_code == 401  # the open path opened nothing else
    assert "/me/{token}" not in client.get("/openapi.json").json()["paths"]


def test_the_command_prints_a_link_that_opens_and_refuses_an_id_nobody_has(
    client: httpx.Client, settings: Settings
) -> None:
    told = CliRunner().invoke(app, ["me-link", "1" * 32, "--home", str(settings.home)])
    assert told.exit_code == 0
    link = told.stdout.strip()
    assert link.startswith("http://127.0.0.1:8000/me/")
    assert client.get("/me/" + link.rsplit("/", 1)[1]).status_code == 200
    refused = CliRunner().invoke(app, ["me-link", "9" * 32, "--home", str(settings.home)])
    assert refused.exit_code == 1
    assert (settings.paths.secrets / "customer_link_key").stat().st_mode & 0o077 == 0


def test_every_approved_reason_has_its_advice_and_none_sends_anybody_after_what_cannot_be_changed() -> None:
    with (PROJECT_ROOT / "dbt_project" / "seeds" / "policy" / "reason_codes.csv").open(newline="") as file:
        codes = {row["code"]: row["feature"] for row in csv.DictReader(file)}
    assert set(codes) == set(TO_DO) | set(WITH_TIME)
    assert not set(TO_DO) & set(WITH_TIME)
    fixed = {"credit_history_months", "account_age_months", "bankruptcies", "employment_length_years", "home_ownership"}
    assert not {code for code, feature in codes.items() if feature in fixed} & set(TO_DO)
    assert advice(["AA17", "AA13", "AA13"]).to_do == (TO_DO["AA13"],)
