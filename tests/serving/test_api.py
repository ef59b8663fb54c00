"""What a caller of the scoring API is told, and what he can rely on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest

from credit_risk_platform.adapters.api_keys import Role
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.serving.schemas import EXAMPLE
from tests.api_book import BATCH, JSON, LOAN, PREDICT, api, drained, key_of, lake, rows, serving, wish
from tests.stream_book import new_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return new_home(tmp_path_factory.mktemp("api") / "home")


@pytest.fixture(scope="module")
def book(home: Any) -> Iterator[DuckLakeWarehouse]:
    with lake(home) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def analyst(home: Any) -> dict[str, str]:
    return {"X-API-Key": key_of(home, Role.ANALYST)}


@pytest.fixture(scope="module")
def client(home: Any, analyst: dict[str, str]) -> Iterator[httpx.Client]:
    with api(home) as client:
        yield client


def test_the_published_payload_is_answered_with_the_published_fields_and_ours(client: httpx.Client) -> None:
    told = client.post(PREDICT, json=EXAMPLE)
    assert told.status_code == 200
    body = told.json()
    assert 0 < body["default_probability"] < 1
    assert body["risk_category"] in {"very low", "low", "medium", "high", "very high"}
    assert body["model_version"] == "v2"
    assert body["decision"] in {"approve", "refer", "decline"}
    assert (body["decision"] == "approve") == (body["reason_codes"] == [])
    assert body["rules_baseline"] in {"approve", "decline"}
    assert len(body["score_id"]) == 32


WRONG = [
    ({"annual_incom": 5}, "annual_incom", "unknown-field", "annual_income"),
    ({"annual_income": -1}, "annual_income", "out-of-range", "above zero"),
    ({"annual_income": 0}, "annual_income", "out-of-range", "not known"),
    ({"total_debt": "5"}, "total_debt", "wrong-type", "without quotes"),
    ({"num_credit_accounts": True}, "num_credit_accounts", "wrong-type", "whole"),
    ({"num_credit_accounts": 2.5}, "num_credit_accounts", "wrong-type", "whole"),
    ({"payment_history_score": 299}, "payment_history_score", "out-of-range", "300 to 850"),
    ({"revol_util": 30}, "credit_utilization", "said-twice", "one of them"),
    ({"application_date": "2999-01-01"}, "application_date", "impossible-date", "Correct"),
    ({"earliest_cr_line": "2011-02-30"}, "earliest_cr_line", "impossible-date", "Correct"),
    ({"term": "36"}, "term", "wrong-type", "36 months"),
    ({"purpose": "a\x00b"}, "purpose", "wrong-format", "plain"),
    ({"purpose": "car\n"}, "purpose", "wrong-format", "plain"),
    ({"term": "36 months\n"}, "term", "wrong-type", "36 months"),
    ({"dti": "1.5%\n"}, "dti", "wrong-type", "10.65%"),
    ({"earliest_cr_line": "Dec-2011\n"}, "earliest_cr_line", "wrong-format", "Dec-2011"),
    ({"customer_id": None}, "customer_id", "missing", "id"),
]


@pytest.mark.parametrize(("more", "field", "code", "fix"), WRONG)
def test_what_cannot_be_scored_is_refused_by_the_name_of_its_field_with_the_mend(
    client: httpx.Client, more: dict[str, Any], field: str, code: str, fix: str
) -> None:
    told = client.post(PREDICT, json={**EXAMPLE, **more})
    assert told.status_code == 422
    (error,) = told.json()["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert fix in error["fix"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(client: httpx.Client, number: str) -> None:
    body = f'{{"customer_id": "C", "total_debt": {number}}}'
    told = client.post(PREDICT, content=body, headers=JSON)
    assert (told.status_code, told.json()["errors"][0]["code"]) == (422, "not-finite")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{", "application/json", 400),
        ('"\\ud800"', "application/json", 400),
        ("{}", "text/plain", 415),
        ("[]", "application/json", 422),
    ],
)
def test_what_is_no_application_at_all_is_a_problem_and_no_crash(
    client: httpx.Client, body: str, kind: str, status: int
) -> None:
    told = client.post(PREDICT, content=body, headers={"Content-Type": kind})
    assert told.status_code == status
    assert told.headers["Content-Type"] == "application/problem+json"


def test_age_and_the_callers_macro_figures_are_recorded_and_change_nothing(
    book: DuckLakeWarehouse, client: httpx.Client
) -> None:
    young = client.post(PREDICT, json=wish(1, id="young", age=19, interest_rate=0.2, unemployment_rate=0.3)).json()
    old = client.post(PREDICT, json=wish(1, id="old", age=80)).json()
    assert young["default_probability"] == old["default_probability"]
    assert young["reason_codes"] == old["reason_codes"]
    drained(client)
    sql = "select age, sent_interest_rate as i, sent_unemployment_rate as u from bronze.raw_applications "
    found = rows(book, sql + "join bronze.api_requests using (event_id) where raw_applications.loan_id = 'young'")
    assert found == [{"age": 19, "i": 0.2, "u": 0.3}]


def test_a_feature_that_was_not_sent_is_missing_and_no_name_of_a_customer_is_kept(
    book: DuckLakeWarehouse, client: httpx.Client
) -> None:
    asked = wish(7, id="bare")
    del asked["total_debt"], asked["num_credit_accounts"]
    assert client.post(PREDICT, json=asked).status_code == 200
    drained(client)
    (raw,) = rows(book, "select * from bronze.raw_applications where loan_id = 'bare'")
    assert raw["total_debt"] is raw["open_acc"] is raw["loan_amnt"] is None
    assert (raw["topic"], raw["topic_id"], raw["partition"], raw["offset"]) == ("http", "", None, None)
    everything = [rows(book, f"from {table} where loan_id = 'bare'") for table in WRITTEN]
    assert all(len(found) == 1 for found in everything)
    assert "CUST_7" not in str(everything)
    assert len({found[0]["event_id"] for found in everything[:3]}) == 1


WRITTEN = ("bronze.raw_applications", "bronze.api_requests", "gold.application_scores", "gold.score_ledger")


def test_a_thousand_applications_are_answered_in_order_and_a_bad_one_fails_alone(client: httpx.Client) -> None:
    customers = [wish(number, id=f"B{number}") for number in range(1_000)]
    customers[500]["annual_income"] = 0
    told = client.post(BATCH, json={"customers": customers})
    assert told.status_code == 200
    body = told.json()
    assert (body["scored"], body["refused"]) == (999, 1)
    assert [one["index"] for one in body["results"]] == list(range(1_000))
    assert [one["score"]["application_id"] for one in body["results"] if one["score"]] == [
        f"B{number}" for number in range(1_000) if number != 500
    ]
    (error,) = body["results"][500]["errors"]
    assert (error["field"], error["code"]) == ("customers[500].annual_income", "out-of-range")
    again = client.post(PREDICT, json=customers[3]).json()
    assert again == body["results"][3]["score"]  # alone as in company


def test_an_application_twice_in_one_batch_is_scored_once(client: httpx.Client) -> None:
    told = client.post(BATCH, json={"customers": [wish(1), wish(1), wish(2, id="X"), wish(3, id="X")]}).json()
    assert [one["status"] for one in told["results"]] == ["scored", "refused", "scored", "refused"]
    assert told["results"][3]["errors"][0]["field"] == "customers[3].id"


def test_batches_have_limits(client: httpx.Client) -> None:
    assert client.post(BATCH, json={"customers": []}).status_code == 422
    assert client.post(BATCH, json={"customers": [{}] * 10_001}).status_code == 422
    assert client.post(BATCH, json=[EXAMPLE]).status_code == 422
    large = client.post(BATCH, content=b" " * (10 * 1024 * 1024 + 1), headers=JSON)
    assert large.status_code == 413


def test_one_id_stands_for_one_content_a_day_also_after_a_restart(home: Any, client: httpx.Client) -> None:
    first = client.post(PREDICT, json=wish(1, id="mine")).json()
    assert client.post(PREDICT, json=wish(1, id="mine")).json() == first
    other = client.post(PREDICT, json=wish(2, id="mine"))
    assert (other.status_code, other.json()["errors"][0]["field"]) == (409, "id")
    in_batch = client.post(BATCH, json={"customers": [wish(3), wish(2, id="mine")]}).json()
    assert [one["status"] for one in in_batch["results"]] == ["scored", "refused"]
    drained(client)
    with api(home) as restarted:
        assert restarted.post(PREDICT, json=wish(2, id="mine")).status_code == 409
        assert restarted.post(PREDICT, json=wish(1, id="mine")).json() == first


def test_a_score_is_found_at_once_and_is_the_same_in_the_ledger(client: httpx.Client, analyst: dict[str, str]) -> None:
    told = client.post(PREDICT, json=LOAN).json()
    at_once = client.get(f"/api/v1/scores/{told['score_id']}")
    assert at_once.status_code == 200
    drained(client)
    recorded = client.get(f"/api/v1/scores/{told['score_id'][:12]}").json()
    assert recorded["recorded"] is True
    compared = set(told) - {"rules_baseline"}  # not kept
    assert {name: recorded[name] for name in compared} == {name: told[name] for name in compared}
    assert len(recorded["subject_token"]) == 64
    assert client.get(f"/api/v1/scores/{told['score_id']}", headers=analyst).json()["subject_token"] is None
    assert client.post(PREDICT, json=LOAN, headers=analyst).status_code == 403
    missed = client.get(f"/api/v1/scores/{told['score_id'][:-1]}x")
    assert missed.status_code == 404
    assert told["score_id"] in missed.json()["errors"][0]["fix"]


def test_the_documentation_renders_and_its_examples_are_answered(client: httpx.Client) -> None:
    assert "swagger-ui" in client.get("/docs").text
    document = client.get("/openapi.json").json()
    for path in (PREDICT, BATCH):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            assert client.post(path, json=example["value"]).status_code == 200
    application = document["components"]["schemas"]["Application"]
    assert application["additionalProperties"] is False
    assert set(EXAMPLE) < set(application["properties"])


def test_an_unpromoted_home_is_alive_and_says_what_to_do(tmp_path: Any) -> None:
    with serving(tmp_path) as bare:
        assert bare.get("/healthz").status_code == 200
        for answer in (bare.get("/readyz"), bare.post(PREDICT, json=EXAMPLE)):
            assert answer.status_code == 503
            assert answer.json()["type"] == "/problems/not-ready"


def test_metrics_tell_latency_scores_and_the_champion(client: httpx.Client) -> None:
    text = client.get("/metrics").text
    assert f'crp_api_request_seconds_bucket{{endpoint="{PREDICT}",le="0.1",process="' in text
    assert 'crp_api_champion_info{bundle="' in text
    for name in ("crp_api_scores_total", "crp_api_spool_rows", "crp_api_micro_batch_rows_count", "crp_api_ready"):
        assert name in text


def test_the_server_starts_without_training_orchestration_or_plotting() -> None:
    code = "import sys, credit_risk_platform.serving.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "dagster",
        "mlflow",
        "optbinning",
        "shap",
        "pandas",
        "sklearn",
        "xgboost",
        "lightgbm",
        "scipy",
        "evidently",
    }
    assert not heavy & set(loaded)


def test_scores_are_of_the_day_of_the_call(client: httpx.Client) -> None:
    assert abs((date.fromisoformat(client.post(PREDICT, json=wish(9)).json()["as_of"]) - date.today()).days) <= 1


def test_the_documentation_needs_neither_a_key_nor_the_internet(client: httpx.Client) -> None:
    page = client.get("/docs", headers={"X-API-Key": ""}).text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any(file.endswith(".js") for file in files)
    for file in files:
        assert file.startswith("/docs-files/")
        assert client.get(file, headers={"X-API-Key": ""}).status_code == 200
