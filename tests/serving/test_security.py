"""The gate: nobody without a key, nobody beyond a role, nobody faster than agreed, and a line for every call."""

import asyncio
import json
import re
from datetime import timedelta
from itertools import product

import pytest

from credit_risk_platform.adapters.api_keys import Role
from credit_risk_platform.serving.problems import Problem
from credit_risk_platform.serving.security.audit import AuditLog
from credit_risk_platform.serving.security.rates import ClientRates
from tests.api_gate import INCOME, NOW, audit_lines, call, everything_written, gated, key_of

BODY = {"customer_id": "CUST_1", "annual_income": INCOME}
DECIDE = {Role.UNDERWRITER, Role.ENGINEER, Role.ADMIN}
# Route, roles that may, and what those get.
ROUTES = [
    ("POST", "/one", DECIDE, 200),
    ("GET", "/scores/1", set(Role), 200),
    ("GET", "/forgotten", set(Role), 200),
    ("GET", "/nowhere", set(Role), 404),
]


@pytest.mark.parametrize(("role", "route"), list(product(Role, ROUTES)), ids=lambda value: str(value)[:24])
def test_each_role_reaches_its_routes_and_no_others(tmp_path, role, route):
    method, path, may, status = route
    app, keys = gated(tmp_path)
    response = call(app, method, path, key_of(keys, role), json=BODY if method == "POST" else None)
    if role in may:
        assert response.status_code == status
        return
    assert response.status_code == 403
    assert response.json()["type"] == "/problems/forbidden"
    assert all(needed in response.json()["detail"] for needed in may)


def test_only_those_who_decide_about_a_person_see_whose_score_it_is(tmp_path):
    app, keys = gated(tmp_path)
    seen = {role for role in Role if call(app, "GET", "/scores/1", key_of(keys, role, role)).json()["subject"]}
    assert seen == {Role.UNDERWRITER, Role.AUDITOR, Role.ADMIN}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "crp_000000000000_" + "0" * 64},
        {"Authorization": "Basic Y3JwOmNycA=="},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer ' or 1=1 --"},
    ],
)
@pytest.mark.parametrize("path", ["/one", "/scores/1", "/forgotten", "/nowhere", "/metrics", "/healthz/../one"])
def test_without_a_key_nothing_answers_not_even_that_a_route_exists(tmp_path, headers, path):
    app, _ = gated(tmp_path)
    response = call(app, "POST", path, headers=headers, content=b"{not json")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["type"] == "/problems/unauthenticated"
    assert "crp keys create" in response.json()["detail"]


def test_both_ways_of_showing_a_key_open(tmp_path):
    app, keys = gated(tmp_path)
    key = key_of(keys)
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}, {"Authorization": f"bearer {key}"}):
        assert call(app, "GET", "/scores/1", headers=headers).status_code == 200


def test_rotation_without_a_restart_the_old_key_ends_at_its_date(tmp_path):
    today = [NOW]
    app, keys = gated(tmp_path, now=lambda: today[0])
    old = key_of(keys)
    new = keys.rotate("los", NOW, timedelta(days=7))

    assert call(app, "GET", "/scores/1", old).status_code == 200
    today[0] = NOW + timedelta(days=7)
    assert call(app, "GET", "/scores/1", old).status_code == 401
    assert call(app, "GET", "/scores/1", new).status_code == 200
    keys.revoke(new.split("_")[1], today[0])
    assert call(app, "GET", "/scores/1", new).status_code == 401


def test_a_damaged_key_file_closes_the_api_and_tells_strangers_nothing(tmp_path, caplog):
    app, keys = gated(tmp_path)
    key = key_of(keys)
    keys.file.write_text("{")
    response = call(app, "GET", "/scores/1", key)
    assert response.status_code == 503
    assert str(tmp_path) not in response.text
    assert "damaged" in caplog.text


def test_probes_are_open_and_metrics_only_to_this_machine_or_a_key(tmp_path):
    app, keys = gated(tmp_path)
    assert call(app, "GET", "/healthz").status_code == 200
    assert call(app, "GET", "/metrics", peer="127.0.0.1").status_code == 200
    assert call(app, "GET", "/metrics", peer="::1").status_code == 200
    # A proxy beside us speaks for somebody elsewhere.
    proxied = {"X-Forwarded-For": "10.9.9.9"}
    assert call(app, "GET", "/metrics", peer="127.0.0.1", headers=proxied).status_code == 401
    assert call(app, "GET", "/metrics", key_of(keys)).status_code == 200


def test_a_client_over_its_rate_waits_and_the_others_do_not(tmp_path):
    app, keys = gated(tmp_path, limit="3/minute")
    eager, calm = key_of(keys), key_of(keys, client="other")
    answers = [call(app, "GET", "/scores/1", eager) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [re.search(r"r=(\d+)", answer.headers["ratelimit"])[1] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["ratelimit-policy"] == '"client";q=3;w=60'
    refused = answers[-1]
    assert refused.json()["type"] == "/problems/rate-limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert call(app, "GET", "/scores/1", calm).status_code == 200


def test_the_rate_counts_the_last_period_and_not_the_last_full_one():
    now = [0.0]
    rates = ClientRates("10/minute", lambda: now[0])
    granted = []
    # The ten of second 50 count 8.33, 5 and 0.17 later; the nine of the second minute count 8.85 at second 121.
    for second in (50, 70, 90, 119, 121, 300):
        now[0] = float(second)
        granted.append(0)
        for _ in range(10):
            try:
                rates.take("los")
                granted[-1] += 1
            except Problem:
                break
    assert granted == [10, 1, 4, 4, 1, 10]


def test_a_rate_that_is_none_stops_the_start():
    with pytest.raises(ValueError, match="lots"):
        ClientRates("lots")


@pytest.mark.parametrize("declared", [True, False], ids=["content-length", "chunked"])
def test_a_body_of_ten_megabytes_is_refused_before_it_is_read(tmp_path, declared):
    app, keys = gated(tmp_path)
    sent = 0

    async def chunks():
        nonlocal sent
        for _ in range(10):
            sent += 1_000_000
            yield b" " * 1_000_000

    content = b" " * 10_000_000 if declared else chunks()
    response = call(app, "POST", "/one", key_of(keys), content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    (error,) = response.json()["errors"]
    assert (error["code"], error["fix"]) == ("too-large", "Send several smaller batches.")
    assert sent <= 1_000_000
    assert response.headers["connection"] == "close"


def test_every_answer_carries_its_id_and_the_headers_of_an_api_that_is_no_web_page(tmp_path):
    app, keys = gated(tmp_path)
    key = key_of(keys)
    given = call(app, "GET", "/scores/1", key, headers={"X-Request-ID": "los-17.a_b"})
    assert given.headers["x-request-id"] == "los-17.a_b"
    forged = call(app, "GET", "/scores/1", key, headers={"X-Request-ID": 'x"}\\n{"client":"other'})
    assert re.fullmatch(r"[0-9a-f]{32}", forged.headers["x-request-id"])
    for answer in (given, call(app, "GET", "/nowhere"), call(app, "GET", "/broken", key)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


def test_the_audit_log_tells_who_did_what_and_nothing_about_the_applicant(tmp_path, caplog):
    app, keys = gated(tmp_path)
    key = key_of(keys)
    call(app, "POST", "/one", key, json=BODY, headers={"X-Request-ID": "r1"})
    call(app, "POST", "/one", key, json={**BODY, "annual_income": -INCOME})
    call(app, "GET", f"/nowhere/{INCOME}")
    call(app, "GET", f"/scores/7?income={INCOME}", key)
    call(app, "GET", "/broken", key)

    lines = audit_lines(tmp_path)
    assert [(line["client"], line["route"], line["status"], line["scores"]) for line in lines] == [
        ("los", "/one", 200, 1),
        ("los", "/one", 422, 0),
        (None, None, 401, 0),
        ("los", "/scores/{score_id}", 200, 0),
        ("los", "/broken", 500, 0),
    ]
    assert lines[0]["request_id"] == "r1"
    assert lines[0]["key_id"] == key.split("_")[1]
    assert lines[0]["role"] == "underwriter"
    assert lines[0]["ms"] > 0
    written = everything_written(tmp_path) + caplog.text
    for secret in (str(INCOME), "CUST_1", key.split("_")[2]):
        assert secret not in written


def test_the_audit_file_is_set_aside_when_full_and_no_line_is_lost_between_two_processes(tmp_path):
    logs = [AuditLog(tmp_path, full_bytes=1_000), AuditLog(tmp_path, full_bytes=1_000)]

    async def many():
        for number in range(200):
            logs[number % 2].write({"request_id": number})
            logs[number % 2].flush()

    asyncio.run(many())
    for log in logs:
        log.close()

    files = sorted(tmp_path.glob("audit*.jsonl"))
    assert len(files) > 2
    assert all(file.stat().st_size < 1_100 for file in files)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    numbers = [json.loads(line)["request_id"] for file in files for line in file.read_text().splitlines()]
    assert sorted(numbers) == list(range(200))


def test_lines_that_come_at_once_are_written_together_and_within_a_moment(tmp_path):
    log = AuditLog(tmp_path)

    async def three():
        for number in range(3):
            log.write({"request_id": number})
        await asyncio.sleep(0.2)

    asyncio.run(three())
    assert [json.loads(line)["request_id"] for line in log.file.read_text().splitlines()] == [0, 1, 2]
    log.close()


def test_a_disk_that_takes_no_audit_line_costs_no_call_and_is_said(tmp_path, caplog):
    (tmp_path / "api").write_text("a file where the folder should be")
    app, keys = gated(tmp_path)
    assert call(app, "GET", "/scores/1", key_of(keys)).status_code == 200
    assert "1 audit lines lost" in caplog.text


def test_the_document_says_where_a_key_is_needed_and_how_it_is_shown(tmp_path):
    app, _ = gated(tmp_path)
    document = app.openapi()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    asked = {path for path, methods in document["paths"].items() for one in methods.values() if "security" in one}
    assert asked == set(document["paths"]) - {"/healthz"}


def test_a_web_socket_finds_no_way_around_the_gate(tmp_path):
    app, _ = gated(tmp_path)
    said = []

    async def send(message):
        said.append(message)

    asyncio.run(app({"type": "websocket", "path": "/one", "headers": [], "state": {}}, None, send))
    assert said == [{"type": "websocket.close", "code": 1008}]
