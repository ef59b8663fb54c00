"""Logs as JSON: a line that a machine cannot read is lost to it, and a line that names a person is a leak."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from credit_risk_platform import log_format
from credit_risk_platform.settings import PROJECT_ROOT, LogFormat, Settings
from tests.api_gate import call, gated, key_of

KEY = "crp_0123456789ab_" + "f" * 64
RUN = """
import logging, warnings
import dagster as dg
from credit_risk_platform.log_format import install
from credit_risk_platform.settings import Settings

install(Settings())
install(Settings())

@dg.asset(key=["gold", "demo"], partitions_def=dg.StaticPartitionsDefinition(["2026-06-30"]))
def demo(context: dg.AssetExecutionContext) -> None:
    context.log.info("read %d rows for customer_id=C-1", 5)
    raise ValueError("no income for jane@example.org")

warnings.warn("old way")
with dg.DagsterInstance.ephemeral() as instance:
    result = dg.materialize([demo], partition_key="2026-06-30", instance=instance, raise_on_error=False)
logging.getLogger("credit_risk_platform.x").error("bye", extra={"score_id": "ab" * 32, "customer_id": "C-1"})
raise RuntimeError(result.run_id)
"""


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a logger of our own with the JSON formatter writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log_format.formatter())
    logger = logging.getLogger("credit_risk_platform.test")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_has_the_names_cloud_logging_reads(written: io.StringIO) -> None:
    logging.getLogger("credit_risk_platform.test").warning("%d rows\nof %s", 5, "two", extra={"score_id": "ab" * 32})
    (line,) = lines(written.getvalue())
    assert (line["severity"], line["message"], line["logger"]) == (
        "WARNING", "5 rows\nof two", "credit_risk_platform.test",
    )  # fmt: skip
    assert line["time"].endswith("Z")
    assert line["score_id"] == "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for customer_id=C-1, income 5", "for customer_id=[redacted], income 5"),
        ("{'customer_id': 'C 1', 'term': 36}", "{'customer_id': [redacted], 'term': 36}"),
        ('{"phone": "+91 98765", "dti": 0.2}', '{"phone": [redacted], "dti": 0.2}'),
        ("mail to jane@example.org", "mail to [e-mail]"),
        ("card 4111 1111 1111 1111", "card [number]"),
        (f"key {KEY} used", "key [redacted] used"),
        ("2026-06-30T05:00:00 run 0a224bbd-c0f7-40c9-b260-8ce0c8b420dd: 1,234 rows, psi=0.25",) * 2,
    ],
)
def test_nothing_personal_gets_into_a_message(written: io.StringIO, text: str, expected: str) -> None:
    logging.getLogger("credit_risk_platform.test").info(text)
    assert lines(written.getvalue())[0]["message"] == expected


def test_nothing_personal_gets_into_fields_however_deep_nor_into_a_stack(written: io.StringIO) -> None:
    fields = {"customer_id": "C-1", "row": {"emailAddress": "x", "dti": 0.2, "notes": ["jane@example.org", 7]}}
    try:
        raise ValueError("customer_id='C-1' is unknown")
    except ValueError:
        logging.getLogger("credit_risk_platform.test").exception("failed", extra=fields)
    assert written.getvalue().count("\n") == 1
    (line,) = lines(written.getvalue())
    assert line["customer_id"] == "[redacted]"
    assert line["row"] == {"emailAddress": "[redacted]", "dti": 0.2, "notes": ["[e-mail]", 7]}
    assert line["exception_type"] == "ValueError"
    assert line["stack_trace"].startswith("Traceback (most recent call last)")
    assert "test_log_format.py" in line["stack_trace"]
    assert "C-1" not in written.getvalue()


def test_every_line_of_a_run_is_json_and_says_which_run_asset_and_partition(tmp_path: Path) -> None:
    """Events, what the asset says, its error, a warning, and how the process ended: all of standard error."""
    settings = Settings(home=tmp_path, log_format=LogFormat.JSON)
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=settings.environment(), cwd=PROJECT_ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    told = lines(done.stderr)
    assert "C-1" not in done.stderr
    assert "jane@" not in done.stderr
    last = told[-1]
    assert (last["severity"], last["exception_type"]) == ("CRITICAL", "RuntimeError")
    run_id = last["stack_trace"].strip().rsplit(" ", 1)[-1]
    (said,) = [line for line in told if line["message"].startswith("read 5 rows")]
    assert (said["run_id"], said["asset"], said["partition"]) == (run_id, "gold/demo", "2026-06-30")
    (failed,) = [line for line in told if line.get("event") == "STEP_FAILURE"]
    assert failed["severity"] == "ERROR"
    assert "ValueError: no income for [e-mail]" in failed["stack_trace"]
    assert any("old way" in line["message"] for line in told)
    assert [line["score_id"] for line in told if line["message"] == "bye"] == ["ab" * 32]


def test_a_call_of_the_api_is_one_line_with_its_request_id_where_json_is_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, keys = gated(tmp_path)
    with caplog.at_level(logging.INFO, log_format.ACCESS.name):
        answer = call(app, "POST", "/one", key_of(keys), json={"customer_id": "C_1", "annual_income": 75_123.45})
    (record,) = [one for one in caplog.records if one.name == log_format.ACCESS.name]
    (line,) = lines(log_format.formatter().format(record))
    assert line["message"] == "POST /one 200"
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["route"], line["status"], line["scores"]) == ("/one", 200, 1)
    assert "C_1" not in json.dumps(line)
    caplog.clear()
    log_format.install(Settings(home=tmp_path))
    call(app, "GET", "/healthz")
    assert caplog.records == []
