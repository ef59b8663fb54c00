"""Channels against real receivers: what arrives, who waits how long for whom, and that no secret shows anywhere."""

from __future__ import annotations

import json
import logging
import ssl
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from credit_risk_platform.adapters.alerting.book import AlertBook
from credit_risk_platform.adapters.alerting.channels import ChannelError, channels_from, http
from credit_risk_platform.adapters.alerting.channels.file import FileChannel
from credit_risk_platform.adapters.alerting.channels.mail import EmailChannel
from credit_risk_platform.adapters.alerting.channels.pagerduty import PagerDutyChannel
from credit_risk_platform.adapters.alerting.channels.slack import SlackChannel
from credit_risk_platform.adapters.alerting.channels.webhook import WebhookChannel
from credit_risk_platform.domain.alerts import Finding, Message, Severity
from credit_risk_platform.resources import alert_channels
from credit_risk_platform.settings import Settings
from tests.alert_receivers import HttpReceiver, SmtpReceiver, http_receiver, smtp_receiver

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOKEN = "S3cretT0ken"
FINDING = Finding(
    "rule/high_api_latency",
    Severity.CRITICAL,
    "API p95 is <412> ms & rising",
    {"value": 412.3456789, "threshold": 200, "metric": "api_latency_p95"},
    "http://127.0.0.1:3000/sensors/alert_rules",
)
FIRED, CLEARED = Message("fired", FINDING, NOON, "a1b2"), Message("cleared", FINDING, NOON, "a1b2")


@pytest.fixture
def web() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def post_office() -> Iterator[SmtpReceiver]:
    with smtp_receiver() as receiver:
        yield receiver


def test_slack_shows_severity_title_facts_and_link_and_calls_nobody_by_markup(web: HttpReceiver) -> None:
    channel = SlackChannel(f"{web.url}/services/T0/B0/{TOKEN}")
    channel.send(FIRED)
    channel.send(CLEARED)
    fired, cleared = web.bodies
    header, facts, context = fired["blocks"]
    assert header["text"] == {
        "type": "plain_text", "text": "\N{LARGE RED CIRCLE} CRITICAL: API p95 is <412> ms & rising", "emoji": False
    }  # fmt: skip
    assert [fact["text"] for fact in facts["fields"]] == [
        "*value*\n412.346", "*threshold*\n200", "*metric*\napi_latency_p95"
    ]  # fmt: skip
    assert context["elements"][0]["text"] == (
        "critical | rule/high_api_latency | 2026-11-21 12:00 UTC | <http://127.0.0.1:3000/sensors/alert_rules|open>"
    )
    assert fired["text"].endswith("API p95 is &lt;412&gt; ms &amp; rising")
    assert cleared["text"].startswith("\N{LARGE GREEN CIRCLE} Cleared: API p95")


def test_slack_takes_a_long_message_within_its_limits(web: HttpReceiver) -> None:
    finding = Finding("run/x", Severity.INFO, "t" * 500, {f"fact {n}": "v" * 3_000 for n in range(23)})
    SlackChannel(web.url).send(Message("fired", finding, NOON, "x"))
    header, *sections, _ = web.bodies[0]["blocks"]
    assert len(header["text"]["text"]) == 150
    assert [len(section["fields"]) for section in sections] == [10, 10, 3]
    assert max(len(fact["text"]) for section in sections for fact in section["fields"]) <= 2_000


def test_pagerduty_gets_trigger_and_resolve_of_one_incident(web: HttpReceiver) -> None:
    channel = PagerDutyChannel(TOKEN, f"{web.url}/v2/enqueue")
    for message in (FIRED, FIRED, CLEARED):
        channel.send(message)
    assert web.bodies[0] == web.bodies[1] == {
        "routing_key": TOKEN,
        "event_action": "trigger",
        "dedup_key": "a1b2",
        "client": "credit-risk-platform",
        "payload": {
            "summary": "API p95 is <412> ms & rising",
            "source": "credit-risk-platform",
            "severity": "critical",
            "timestamp": "2026-11-21T12:00:00+00:00",
            "component": "rule/high_api_latency",
            "custom_details": {"value": 412.3456789, "threshold": 200, "metric": "api_latency_p95"},
        },
        "links": [{"href": "http://127.0.0.1:3000/sensors/alert_rules", "text": "Open"}],
    }  # fmt: skip
    assert web.bodies[2] == {"routing_key": TOKEN, "event_action": "resolve", "dedup_key": "a1b2"}


def test_the_webhook_gets_all_there_is_and_can_tell_a_repetition(web: HttpReceiver) -> None:
    channel = WebhookChannel(f"{web.url}/in?token={TOKEN}")
    for message in (FIRED, FIRED, CLEARED):
        channel.send(message)
    assert web.bodies[0] == {
        "source": "credit-risk-platform",
        "kind": "fired",
        "severity": "critical",
        "text": "CRITICAL: API p95 is <412> ms & rising",
        "title": "API p95 is <412> ms & rising",
        "key": "rule/high_api_latency",
        "facts": {"value": 412.3456789, "threshold": 200, "metric": "api_latency_p95"},
        "link": "http://127.0.0.1:3000/sensors/alert_rules",
        "incident": "a1b2",
        "at": "2026-11-21T12:00:00+00:00",
    }
    keys = [headers["Idempotency-Key"] for headers in web.headers]
    assert keys[0] == keys[1] != keys[2]
    assert web.paths[0] == f"/in?token={TOKEN}"


def test_the_file_holds_whole_lines_also_after_one_was_cut_off(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path / "new" / "alerts.jsonl")
    channel.send(FIRED)
    with channel.path.open("a") as file:
        file.write('{"cut')
    channel.send(CLEARED)
    first, cut, last = channel.path.read_text().splitlines()
    assert [json.loads(first)["kind"], cut, json.loads(last)["kind"]] == ["fired", '{"cut', "cleared"]
    with pytest.raises(ChannelError, match="could not be written"):
        FileChannel(channel.path / "below_a_file").send(FIRED)


# ------------------------------------------------------------------------------------------------------- failures


def test_a_moment_of_trouble_is_bridged_within_one_call(web: HttpReceiver) -> None:
    web.answers = [(502, {}, ""), (500, {}, "")]
    WebhookChannel(web.url).send(FIRED)
    assert len(web.bodies) == 3


@pytest.mark.parametrize(
    ("answer", "told", "tries", "refused", "wait"),
    [
        ((500, {}, "oops"), "answered 500: oops", 3, False, None),
        ((429, {"Retry-After": "17"}, ""), "answered 429", 1, False, 17.0),
        ((429, {"Retry-After": "86400"}, ""), "answered 429", 1, False, 3_600.0),
        ((503, {"Retry-After": "soon"}, ""), "answered 503", 1, False, 60.0),
        ((400, {}, "invalid_blocks"), "answered 400: invalid_blocks", 1, True, None),
        ((404, {}, "no_service"), "set a new one", 1, False, None),
        ((302, {"Location": "http://127.0.0.1:1/"}, ""), "it has moved: set the new address", 1, False, None),
    ],
)
def test_an_answer_other_than_yes_is_an_error_that_says_what_to_expect(
    web: HttpReceiver, answer: tuple[int, dict[str, str], str], told: str, tries: int, refused: bool, wait: float | None
) -> None:
    web.answers = [answer] * tries
    with pytest.raises(ChannelError) as error:
        WebhookChannel(web.url).send(FIRED)
    assert told in str(error.value)
    assert (len(web.bodies), error.value.refused, error.value.retry_after) == (tries, refused, wait)


def test_a_receiver_that_never_answers_is_left_in_time(web: HttpReceiver) -> None:
    web.pause = 1.0
    with pytest.raises(ChannelError, match=r"127\.0\.0\.1 did not answer within 0\.1 s"):
        http.post(web.url, {}, secrets=(), read_seconds=0.1)
    assert len(web.bodies) == 1  # not sent a second time: the first may have arrived


def test_slack_that_asks_to_wait_gets_everything_in_the_end(web: HttpReceiver, tmp_path: Path) -> None:
    book, channels = AlertBook(tmp_path), [SlackChannel(web.url)]
    book.report([FINDING], [], NOON)
    web.answers = [(429, {"Retry-After": "30"}, "")]
    sent = [book.deliver(channels, NOON + second * timedelta(seconds=1)).sent for second in (0, 29, 30, 31)]
    assert (sent, len(web.bodies)) == ([0, 0, 1, 0], 2)


# --------------------------------------------------------------------------------------------------------- e-mail


def email(port: int, **more: Any) -> EmailChannel:
    own = {"starttls": False, "sender": "crp@bank.example", "recipients": ("a@bank.example", "b@bank.example")}
    return EmailChannel("127.0.0.1", port, **{**own, **more})


def test_an_email_says_it_all_and_bears_one_id_however_often_it_is_sent(post_office: SmtpReceiver) -> None:
    for message in (FIRED, FIRED, CLEARED):
        email(post_office.port).send(message)
    first, again, cleared = post_office.letters
    assert first["Subject"] == "[credit-risk-platform] CRITICAL: API p95 is <412> ms & rising"
    assert first["To"] == "a@bank.example, b@bank.example"
    assert post_office.recipients[:2] == ["a@bank.example", "b@bank.example"]
    assert first["Message-ID"] == again["Message-ID"] != cleared["Message-ID"]
    assert first["References"] == cleared["References"]
    assert first.get_content().splitlines() == [
        "CRITICAL: API p95 is <412> ms & rising",
        "",
        "value: 412.346",
        "threshold: 200",
        "metric: api_latency_p95",
        "severity: critical",
        "at: 2026-11-21 12:00 UTC",
        "about: rule/high_api_latency",
        "",
        "http://127.0.0.1:3000/sensors/alert_rules",
    ]


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by nobody but itself."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "post office")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "post_office.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *plain) + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_a_password_goes_to_a_trusted_server_under_tls_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    login = {"starttls": True, "username": "crp", "password": TOKEN}
    with smtp_receiver(context) as office:
        with pytest.raises(ChannelError, match="its certificate is not trusted"):
            email(office.port, **login).send(FIRED)
        assert (office.logins, office.letters) == ([], [])
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        email(office.port, **login).send(FIRED)
        assert (len(office.logins), len(office.letters)) == (1, 1)
        assert [line.split()[0].upper() for line in office.in_the_clear] == ["EHLO", "STARTTLS"] * 2
    with smtp_receiver(None) as without_tls:
        with pytest.raises(ChannelError, match="STARTTLS extension not supported"):
            email(without_tls.port, **login).send(FIRED)
        with pytest.raises(ChannelError, match="would go out in the clear"):
            email(without_tls.port, password=TOKEN, username="crp").send(FIRED)
        assert without_tls.logins == []


def test_a_post_office_that_refuses_or_is_away_says_so(post_office: SmtpReceiver) -> None:
    post_office.refuse = "554 5.7.1 looks like spam to a@bank.example"
    with pytest.raises(ChannelError, match=r"answered 554: 5\.7\.1 looks like spam to \[e-mail\]") as error:
        email(post_office.port).send(FIRED)
    assert error.value.refused
    with pytest.raises(ChannelError, match=r"127\.0\.0\.1:1 could not be spoken to \(ConnectionRefusedError\)"):
        email(1).send(FIRED)
    with pytest.raises(ChannelError, match="set CRP_ALERT_EMAIL_FROM and CRP_ALERT_EMAIL_TO"):
        email(post_office.port, recipients=()).send(FIRED)


# ------------------------------------------------------------------------------------------- settings and secrets


def test_without_settings_there_is_the_file_and_with_all_of_them_everything(tmp_path: Path) -> None:
    assert [channel.name for channel in alert_channels(Settings(home=tmp_path))] == ["file"]
    settings = Settings(
        home=tmp_path,
        alert_slack_url=SecretStr("https://hooks.slack.example/x"),
        alert_pagerduty_key=SecretStr("key"),
        alert_webhook_url=SecretStr("https://sms.example/x"),
        alert_smtp_host="smtp.example",
    )
    assert {channel.name: channel.least.value for channel in alert_channels(settings)} == {
        "file": "info",
        "slack": "info",
        "webhook": "info",
        "email": "warning",
        "pagerduty": "critical",
    }


def test_no_secret_shows_in_logs_errors_text_forms_or_the_book(
    web: HttpReceiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channels = channels_from(
        tmp_path,
        slack_url=f"{web.url}/services/T0/B0/{TOKEN}",
        pagerduty_key=TOKEN,
        pagerduty_url=f"{web.url}/v2/enqueue",
        webhook_url=f"http://user:{TOKEN}@127.0.0.1:1/in?token={TOKEN}",
        smtp_host="127.0.0.1",
        smtp_port=1,
        smtp_username="crp",
        smtp_password=TOKEN,
        email_from="crp@bank.example",
        email_to=("a@bank.example",),
    )
    book = AlertBook(tmp_path)
    book.report([FINDING], [], NOON)
    web.answers = [(400, {}, f"bad: /services/T0/B0/{TOKEN}"), (500, {}, "")] + [(500, {}, f"key {TOKEN}")] * 6
    delivery = book.deliver(channels, NOON)
    assert set(delivery.errors) == {"slack", "webhook", "email", "pagerduty"}
    assert "***" in delivery.errors["slack"]
    assert "***" in delivery.errors["pagerduty"]
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"rule/high_api_latency" in kept
    for shown in (repr(channels), str(channels), str(delivery), str(book.waiting()), caplog.text, repr(kept)):
        assert TOKEN not in shown


@pytest.mark.parametrize(
    "make",
    [
        lambda: SlackChannel(f"http://127.0.0.1:1/services/{TOKEN}"),
        lambda: WebhookChannel(f"http://{TOKEN}.invalid/{TOKEN}?{TOKEN}"),
        lambda: WebhookChannel(f"ftp://example/{TOKEN}"),
        lambda: WebhookChannel(f"http://[{TOKEN}/{TOKEN}"),
        lambda: WebhookChannel(f"http://127.0.0.1:no-port/{TOKEN}"),
        lambda: email(1, password=TOKEN, starttls=True),
    ],
)
def test_the_whole_traceback_of_an_error_names_no_secret(make: Callable[[], Any]) -> None:
    with pytest.raises(ChannelError) as error:
        make().send(FIRED)
    chain: list[BaseException | None] = [error.value, error.value.__cause__, error.value.__context__]
    whole = [line for link in chain if link for line in traceback.format_exception_only(link)]
    assert f"/{TOKEN}" not in "".join(whole)
