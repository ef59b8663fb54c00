"""A caller who is refused learns which field is wrong and what to send instead, and nobody learns what was sent."""

import json
from itertools import pairwise

import pytest
from pydantic import ValidationError

from credit_risk_platform.serving.problems import MOST_ERRORS, FieldError, Kind, Problem, ProblemBody, field_errors
from tests.api_gate import INCOME, Item, call, gated, key_of

GOOD = {"customer_id": "CUST_1", "annual_income": INCOME}


@pytest.fixture
def post(tmp_path):
    app, keys = gated(tmp_path)
    key = key_of(keys)

    def send(body, path="/one", **rest):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **rest}
        return call(app, "POST", path, key, content=content, headers=headers)

    return send


def problem(response) -> ProblemBody:
    assert response.headers["content-type"] == "application/problem+json"
    body = ProblemBody.model_validate(response.json())
    assert body.status == response.status_code
    assert body.instance == response.headers["x-request-id"]
    assert str(INCOME) not in response.text
    return body


BAD = {
    "unknown field": ({**GOOD, "anual_income": 1}, "anual_income", "unknown-field", "annual_income"),
    "missing": ({}, "customer_id", "missing", "Send this field"),
    "number as text": ({**GOOD, "annual_income": "75123.45"}, "annual_income", "wrong-type", "JSON number"),
    "NaN": ({**GOOD, "annual_income": float("nan")}, "annual_income", "not-finite", "leave the field out"),
    "infinity": ({**GOOD, "annual_income": float("inf")}, "annual_income", "not-finite", "finite"),
    "negative income": ({**GOOD, "annual_income": -1}, "annual_income", "out-of-range", "above 0"),
    "zero income": ({**GOOD, "annual_income": 0}, "annual_income", "out-of-range", "above 0"),
    "fraction of a year": ({**GOOD, "age": 20.5}, "age", "wrong-type", "number"),
    "too young": ({**GOOD, "age": 17}, "age", "out-of-range", "at least 18"),
    "no such term": ({**GOOD, "term": 48}, "term", "not-allowed", "36 or 60"),
    "SQL": ({"customer_id": "'; drop table x"}, "customer_id", "wrong-format", "^[A-Z_0-9]+$"),
    "script": ({"customer_id": "<script>"}, "customer_id", "wrong-format", "matches"),
    "too long": ({"customer_id": "A" * 21}, "customer_id", "wrong-length", "at most 20"),
    "true for a number": ({**GOOD, "annual_income": True}, "annual_income", "wrong-type", "JSON number"),
    "an array": ([1], "", "wrong-type", "JSON object"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_fault_names_its_field_and_its_fix(post, case):
    body, field, code, fix = BAD[case]
    response = post(body)
    found = problem(response)
    assert (response.status_code, found.type) == (422, "/problems/invalid-request")
    (error,) = found.errors
    assert (error.field, error.code) == (field, code)
    assert fix in error.fix


def test_an_item_of_a_batch_is_named_by_its_place(post):
    body = {"customers": [GOOD, {**GOOD, "annual_income": -1}]}
    (error,) = problem(post(body, "/many")).errors
    assert error.field == "customers[1].annual_income"


def test_too_many_items_are_told_how_many_may_come(post):
    (error,) = problem(post({"customers": [GOOD] * 4}, "/many")).errors
    assert (error.field, error.code) == ("customers", "wrong-length")
    assert "at most 3" in error.fix


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"a":}'])
def test_what_is_no_json_is_a_400_of_its_own(post, body):
    response = post(body)
    assert response.status_code == 400
    assert problem(response).errors[0].code == "malformed-json"


def test_a_body_with_many_faults_gets_a_short_answer(post):
    response = post({**GOOD, **{f"f{number}": 1 for number in range(150)}})
    assert len(problem(response).errors) == MOST_ERRORS
    assert "150 of the things" in response.json()["detail"]


def test_a_hostile_field_name_comes_back_harmless_and_short(post):
    (error,) = problem(post({**GOOD, "<script>" + "x" * 500: 1})).errors
    assert "<" not in error.field
    assert len(error.field) <= 64


def test_an_exception_nobody_expected_shows_neither_stack_nor_data(tmp_path, caplog):
    app, keys = gated(tmp_path)
    response = call(app, "GET", "/broken", key_of(keys))
    found = problem(response)
    assert response.status_code == 500
    assert found.instance in found.detail
    assert "Traceback" not in response.text
    # In our log: where it happened, under the id the client has, and not the message, which quotes an income.
    assert found.instance in caplog.text
    assert "ValueError" in caplog.text
    assert "in broken" in caplog.text
    assert str(INCOME) not in caplog.text


def test_unknown_routes_and_methods_are_problems_too(tmp_path):
    app, keys = gated(tmp_path)
    key = key_of(keys)
    assert problem(call(app, "GET", "/nowhere", key)).type == "/problems/not-found"
    wrong = call(app, "DELETE", "/one", key)
    assert problem(wrong).type == "/problems/method-not-allowed"
    assert wrong.headers["allow"] == "POST"
    assert problem(call(app, "GET", "/scores/x", key)).errors[0].field == "score_id"


def test_not_ready_says_the_next_step(tmp_path):
    app, keys = gated(tmp_path)
    response = call(app, "GET", "/absent", key_of(keys))
    assert response.status_code == 503
    assert "crp train" in problem(response).detail


def test_one_item_that_is_refused_tells_the_same_as_a_whole_request():
    with pytest.raises(ValidationError) as caught:
        Item.model_validate({"customer_id": "A", "anual_income": 5, "age": 17})
    found = field_errors(caught.value, Item.model_fields, "customers[2].")
    assert [(error.field, error.code) for error in found] == [
        ("customers[2].age", "out-of-range"),
        ("customers[2].anual_income", "unknown-field"),
    ]
    assert found[1].fix == "Did you mean `annual_income`? Otherwise leave it out."


def test_the_document_declares_the_schema_that_errors_have(tmp_path):
    app, _ = gated(tmp_path)
    document = app.openapi()
    declared = document["paths"]["/one"]["post"]["responses"]
    reference = declared["422"]["content"]["application/problem+json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/ProblemBody"
    assert set(document["components"]["schemas"]["ProblemBody"]["required"]) == set(ProblemBody.model_fields)
    assert "FieldError" in document["components"]["schemas"]
    assert "HTTPValidationError" not in str(document)  # FastAPI's own, which no answer has
    assert "ProblemBody" in str(document["paths"]["/scores/{score_id}"]["get"]["responses"]["422"])


def test_every_kind_has_a_slug_of_its_own_and_an_error_status():
    slugs = sorted(kind.slug for kind in Kind)
    assert all(one != two for one, two in pairwise(slugs))
    assert all(400 <= kind.status < 600 for kind in Kind)
    body = Problem(Kind.CONFLICT, "d", [FieldError(field="f", code="c", detail="d", fix="x")]).body("id")
    assert ProblemBody.model_validate(body).errors[0].fix == "x"
