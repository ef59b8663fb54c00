"""Requests that nobody thought of: the API never fails on one, and keeps to its own document."""

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from credit_risk_platform.serving.problems import MEDIA_TYPE, ProblemBody
from tests.api_server import home_settings, served
from tests.stream_book import new_home

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = ["POST /api/v1/predict", "POST /api/v1/predict/batch", "GET /api/v1/scores/{score_id}", "GET /readyz"]
EXAMPLES = 20


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    home = new_home(tmp_path_factory.mktemp("api") / "home")
    with served(home_settings(home)) as client:
        yield client


@pytest.fixture(scope="module")
def document(client):
    told = client.get("/openapi.json").json()
    application = told["components"]["schemas"]["Application"]
    # "Two names for one fact, of which one may be used": no generator can draw from `not`; such calls are 422, too.
    application.pop("allOf")
    # Of 118 fields those of the examples, which have every kind: drawing them all takes ten times as long.
    fields = set().union(*application["examples"])
    application["properties"] = {name: one for name, one in application["properties"].items() if name in fields}
    return schemathesis.openapi.from_dict(told)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_request_breaks_the_api_and_every_answer_is_as_declared(client, document, label, mode):
    operations = {one.ok().label: one.ok() for one in document.get_all_operations()}
    if mode is GenerationMode.NEGATIVE and label == "GET /readyz":
        return  # nothing to get wrong
    statuses = Counter()

    drawn = EXAMPLES if label.startswith("POST") else 6

    @seed(4)
    @settings(max_examples=drawn, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operations[label].as_strategy(generation_mode=mode))
    def holds(case):
        answer = case.call(base_url=str(client.base_url), headers={"X-API-Key": client.headers["X-API-Key"]})
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == [MEDIA_TYPE]
            ProblemBody.model_validate(answer.json())

    holds()
    assert statuses  # something was drawn
