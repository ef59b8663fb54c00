"""The whole API against what may come in: each bad request is a typed problem with a way out, and nothing leaks."""

import json
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from credit_risk_platform.adapters.api_keys import ApiKeys, Role
from credit_risk_platform.serving.app import create_app
from credit_risk_platform.serving.problems import MEDIA_TYPE, ProblemBody
from credit_risk_platform.serving.schemas import EXAMPLE, FULLER_EXAMPLE
from tests.api_gate import everything_written
from tests.api_server import home_settings, served
from tests.stream_book import new_home

ONE, MANY = "/api/v1/predict", "/api/v1/predict/batch"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return home_settings(new_home(tmp_path_factory.mktemp("api") / "home"))


@pytest.fixture(scope="module")
def client(settings):
    with served(settings) as client:
        yield client


@pytest.fixture(scope="module")
def keys(settings):
    return ApiKeys(settings.paths.secrets)


def problem(response, status) -> ProblemBody:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    found = ProblemBody.model_validate(response.json())
    assert found.instance == response.headers["x-request-id"]
    return found


def post(client, body, path=ONE, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, content=content, headers={"Content-Type": "application/json", **headers})


FAULTS = {
    "unknown field": ({"anual_income": 5}, "anual_income", "unknown-field", "annual_income"),
    "wrong type": ({"age": "thirty"}, "age", "", ""),
    "NaN": ({"annual_income": float("nan")}, "annual_income", "", ""),
    "infinity": ({"total_debt": float("inf")}, "total_debt", "", ""),
    "negative income": ({"annual_income": -75_000}, "annual_income", "", ""),
    "zero income": ({"annual_income": 0}, "annual_income", "", ""),
    "an object for a number": ({"annual_income": {"$gt": 0}}, "annual_income", "", ""),
    "a control character": ({"purpose": "car\u0000"}, "purpose", "", ""),
    "a text of 10,000 characters": ({"purpose": "x" * 10_000}, "purpose", "", ""),
    "nobody": ({"customer_id": None}, "customer_id", "missing", "id"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_one_application_names_its_field_and_its_fix(client, fault):
    change, field, code, fix = FAULTS[fault]
    found = problem(post(client, {**EXAMPLE, **change}), 422)
    (error,) = found.errors
    assert error.field == field
    assert error.code.startswith(code)
    assert fix in error.fix
    assert error.fix
    assert "-75" not in found.model_dump_json()
    assert "thirty" not in found.model_dump_json()


@pytest.mark.parametrize(
    "text", ["'; drop table gold.score_ledger; --", "<script>alert(1)</script>", "{{7*7}}", "\u202e"]
)
def test_code_in_a_text_is_a_text(client, text):
    # Scored as a purpose nobody has seen; a caller learns nothing but that.
    body = {**FULLER_EXAMPLE, "purpose": text, "customer_id": text, "id": f"text-{len(text)}-{text[:3]}"}
    assert post(client, body).status_code == 200
    assert client.get("/readyz").status_code == 200


def test_a_sound_application_beside_bad_ones_is_scored(client):
    bad = [{**EXAMPLE, "annual_income": -1}, 7, {**EXAMPLE, "anual_income": 5}]
    answer = post(client, {"customers": [EXAMPLE, *bad]}, MANY)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["scored"], found["refused"]) == (1, 3)
    fields = [[error["field"] for error in item["errors"]] for item in found["results"]]
    assert fields == [[], ["customers[1].annual_income"], ["customers[2]"], ["customers[3].anual_income"]]
    assert all(error["fix"] for item in found["results"] for error in item["errors"])


def test_ten_thousand_and_one_applications_are_told_how_many_may_come(client):
    found = problem(post(client, {"customers": [{}] * 10_001}, MANY), 422)
    (error,) = found.errors
    assert error.field == "customers"
    assert "10,000" in error.fix


def test_a_body_of_ten_megabytes_is_refused(client):
    body = b'{"customer_id": "' + b"x" * 10_000_000 + b'"}'
    (error,) = problem(post(client, body), 413).errors
    assert error.code == "too-large"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1e999999}', b"null", b'"text"'])
def test_no_body_breaks_the_parser(client, body):
    assert problem(post(client, body), 400 if body[:1] not in b'{n"' or body == b"{" or not body else 422).errors


def test_another_media_type_is_refused(client):
    answer = client.post(ONE, content=b"<a/>", headers={"Content-Type": "application/xml"})
    assert "application/json" in problem(answer, 415).detail


def test_an_id_stands_for_one_application(client):
    first = {**EXAMPLE, "id": "L-1"}
    assert post(client, first).status_code == 200
    assert post(client, first).status_code == 200
    (error,) = problem(post(client, {**first, "annual_income": 5}), 409).errors
    assert error.field == "id"
    assert "id of its own" in error.fix
    twice = post(client, {"customers": [{**EXAMPLE, "id": "L-2"}] * 2}, MANY).json()
    assert [item["status"] for item in twice["results"]] == ["scored", "refused"]
    assert twice["results"][1]["errors"][0]["field"] == "customers[1].id"


# ---------------------------------------------------------------- keys and roles

OPEN = {"/healthz", "/readyz", "/docs", "/openapi.json"}
DECIDE = {Role.UNDERWRITER, Role.ENGINEER, Role.ADMIN}
MATRIX = {
    ("POST", ONE): (EXAMPLE, DECIDE, 200),
    ("POST", MANY): ({"customers": [EXAMPLE]}, DECIDE, 200),
    ("GET", "/api/v1/scores/{score_id}"): (None, set(Role), 404),
}


def test_every_route_stands_in_the_matrix(settings):
    paths = create_app(settings).openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert {route for route in routes if route[1] not in OPEN | {"/metrics"}} == set(MATRIX)


@pytest.fixture(scope="module")
def key_of(client, keys):
    made = {role: keys.create(f"matrix-{role}", role, NOW) for role in Role}
    time.sleep(1.05)  # the API looks at its keys once a second
    return made


@pytest.mark.parametrize("role", Role, ids=str)
def test_each_role_reaches_its_routes_and_no_others(client, key_of, role):
    for (method, path), (body, may, status) in MATRIX.items():
        headers = {"X-API-Key": key_of[role], "Content-Type": "application/json"}
        content = json.dumps(body).encode() if body else None
        answer = client.request(method, path.format(score_id="0" * 32), content=content, headers=headers)
        if role in may:
            assert answer.status_code == status
        else:
            assert all(needed in problem(answer, 403).detail for needed in may)


def test_only_those_who_decide_about_a_person_see_whose_score_it_is(client, key_of):
    given = post(client, {**EXAMPLE, "id": "L-3"}).json()["score_id"]
    seen = {
        role: client.get(f"/api/v1/scores/{given}", headers={"X-API-Key": key}).json()["subject_token"]
        for role, key in key_of.items()
    }
    assert {role for role, token in seen.items() if token} == {Role.UNDERWRITER, Role.AUDITOR, Role.ADMIN}


@pytest.mark.parametrize("path", [ONE, MANY, "/api/v1/scores/1", "/nowhere"])
def test_without_a_live_key_nothing_is_told(client, keys, path):
    ended = keys.create(f"ended{path.replace('/', '-')}", Role.ADMIN, NOW - timedelta(days=2), NOW - timedelta(days=1))
    for shown in ({}, {"X-API-Key": ended}, {"X-API-Key": "crp_x"}):
        with httpx.Client(base_url=client.base_url, headers=shown) as stranger:
            answer = stranger.get(path)
        assert "crp keys create" in problem(answer, 401).detail
        assert "server" not in answer.headers


def test_no_secret_and_no_applicant_is_left_in_any_file(client, settings, caplog):
    body = {**EXAMPLE, "customer_id": "CUST-NEVER-TO-BE-SEEN", "annual_income": 81_234.56}
    assert post(client, body).status_code == 200
    assert post(client, {**body, "annual_income": -81_234.56}).status_code == 422
    key = client.headers["X-API-Key"]
    while client.get("/readyz").json()["waiting_for_ledger"]:
        time.sleep(0.05)
    written = everything_written(settings.home)
    for secret in (key.split("_")[2], "CUST-NEVER-TO-BE-SEEN"):
        assert secret not in written
    assert "81234.56" not in (settings.paths.api / "audit.jsonl").read_text() + caplog.text


# ---------------------------------------------------------------- no model, or a wrong one


def test_without_a_champion_each_call_says_how_to_get_one(tmp_path):
    home = new_home(tmp_path / "home")
    (home / "models" / "champion.json").unlink()
    with served(home_settings(home), ready=False) as client:
        answer = post(client, EXAMPLE)
        while "being loaded" in answer.text:
            time.sleep(0.05)
            answer = post(client, EXAMPLE)
        assert "crp train" in problem(answer, 503).detail
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/healthz").status_code == 200
        problem(client.get("/readyz"), 503)


def test_a_bundle_whose_bytes_were_changed_scores_nobody(tmp_path):
    home = new_home(tmp_path / "home")
    pointer = json.loads((home / "models" / "champion.json").read_text())
    bundle = home / "models" / "bundles" / f"{pointer['sha']}.zip"
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    with served(home_settings(home), ready=False) as client:
        answer = post(client, EXAMPLE)
        while "being loaded" in answer.text:
            time.sleep(0.05)
            answer = post(client, EXAMPLE)
        found = problem(answer, 503)
        assert "changed after it was stored" in found.detail
        assert "Restore" in found.detail
        # Anybody may ask whether it is ready; where files are is for those with a key, or on this machine.
        assert str(home) in client.get("/readyz").text
        assert str(home) not in client.get("/readyz", headers={"X-Forwarded-For": "10.0.0.1"}).text
