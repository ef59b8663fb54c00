"""The quick word and the full one on a message agree, whatever stands in it: or a message would vanish between them."""

from __future__ import annotations

import json
from datetime import date, datetime
from functools import cache
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.adapters.streaming import intake as intake_module
from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA
from credit_risk_platform.adapters.streaming.intake import Intake
from credit_risk_platform.adapters.streaming.judgement import blamed_sql
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.domain.contracts.messages import (
    APPLICATIONS,
    MAX_MESSAGE_BYTES,
    REPAYMENTS,
    TRANSACTIONS,
    MessageContract,
)
from credit_risk_platform.domain.synthetic.bookings import transactions
from credit_risk_platform.domain.synthetic.events import Pace, applications, repayments

AS_OF, TODAY = date(2026, 6, 30), date(2026, 8, 1)
PACE = Pace(datetime(2026, 6, 30, 9))
MADE = {
    APPLICATIONS.topic: lambda: applications(7, AS_OF, PACE),
    REPAYMENTS.topic: lambda: repayments(200, 7, AS_OF, date(2026, 7, 31), PACE),
    TRANSACTIONS.topic: lambda: transactions(7, 40, PACE),
}
ODD = (
    None, "", " ", "n/a", "NULL", "nan", "inf", "-inf", "0", "-1", "1", "35.5", "1e400", "1e6", "99999999999999", "12%",
    "36 months", "infinity", "2011-02-30", "2026-08-01", "2026-08-02", "1899-12-31", "2200-01-02", "Dec-2015", "x",
    "\x1e\x1f", True, 0, -1, 2.5, 10**30, [], {}, ["a"],
)  # fmt: skip
KEY = TokenKey(b"a key for tests, 32 bytes long..")


@cache
def _judge(topic: str) -> tuple[Intake, list[dict[str, Any]]]:
    contract = next(found for found in (APPLICATIONS, REPAYMENTS, TRANSACTIONS) if found.topic == topic)
    intake = Intake(contract, KEY)
    intake.warm(TODAY)
    full = blamed_sql(contract, TODAY, "incoming")
    intake._connection.execute(f"prepare everything as {full}")
    return intake, [json.loads(event.value or b"{}") for event in islice(MADE[topic](), 8)]


@st.composite
def messages(draw: st.DrawFn, contract: MessageContract, sound: list[dict[str, Any]]) -> bytes | None:
    document = json.loads(json.dumps(draw(st.sampled_from(sound))))
    names = st.sampled_from([*(column.name for column in contract.columns), "a_field_nobody_knows"])
    for name, value in draw(st.dictionaries(names, st.sampled_from(ODD) | st.text(max_size=6), max_size=3)).items():
        document["data"][name] = value
    for name in draw(st.sets(names, max_size=1)):
        document["data"].pop(name, None)
    outer = st.sampled_from(["schema_version", "event_id", "event_time", "data"])
    for name, value in draw(st.dictionaries(outer, st.sampled_from(ODD), max_size=1)).items():
        document[name] = value
    text = json.dumps(document).encode()
    broken = st.sampled_from([None, b"", b"\xff\xfe", b"[1]", b"nothing", text[:-1], b"{}", b'{"data": 3}'])
    return draw(st.one_of(st.just(text), st.just(text), st.just(text), broken))


def records(contract: MessageContract, values: list[bytes | None]) -> pa.Table:
    rows = [
        {"topic": contract.topic, "topic_id": "id", "partition": 0, "offset": place, "kafka_time": PACE.start,
         "key": b"k", "value": value, "size": len(value) if value is not None else place * MAX_MESSAGE_BYTES}
        for place, value in enumerate(values)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, RECORD_SCHEMA)


@pytest.mark.parametrize("contract", [APPLICATIONS, REPAYMENTS, TRANSACTIONS], ids=lambda contract: contract.topic)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_message_is_sound_if_and_only_if_nothing_is_wrong_with_it(
    contract: MessageContract, data: st.DataObject
) -> None:
    intake, sound = _judge(contract.topic)
    values = data.draw(st.lists(messages(contract, sound), min_size=20, max_size=40))
    found = intake.judge(records(contract, values), TODAY)  # leaves the batch in `incoming`
    told = intake._connection.execute("execute everything").to_arrow_table().to_pylist()
    assert set(found.accepted["offset"].to_pylist()) == {row["offset"] for row in told if not row["problems"]}
    assert set(found.dead["offset"].to_pylist()) == {row["offset"] for row in told if row["problems"]}


@pytest.mark.parametrize("contract", [APPLICATIONS, REPAYMENTS, TRANSACTIONS], ids=lambda contract: contract.topic)
def test_no_field_is_judged_in_two_ways_whatever_odd_value_it_has(contract: MessageContract) -> None:
    intake, sound = _judge(contract.topic)
    fields = [(column.name, value) for column in contract.columns for value in ODD]
    values = [json.dumps({**sound[0], "data": {**sound[0]["data"], name: value}}).encode() for name, value in fields]
    found = intake.judge(records(contract, values), TODAY)
    told = intake._connection.execute("execute everything").to_arrow_table().to_pylist()
    wrong = {row["offset"] for row in told if row["problems"]}
    assert (set(found.dead["offset"].to_pylist()), found.accepted.num_rows) == (wrong, len(values) - len(wrong))
    assert min(len(wrong), found.accepted.num_rows) > 50


def test_a_message_the_two_disagree_on_is_no_message_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has seen it. Should it come, the batch fails, and the message stays in the log."""
    _, sound = _judge(REPAYMENTS.topic)
    nothing = f"{blamed_sql(REPAYMENTS, TODAY, 'incoming')} where false"
    monkeypatch.setattr(intake_module, "blamed_sql", lambda *_: nothing)
    wrong = json.dumps({**sound[0], "schema_version": 9}).encode()
    with pytest.raises(RuntimeError, match="of 1 messages 0 are sound and 0 have a problem"):
        Intake(REPAYMENTS, KEY).judge(records(REPAYMENTS, [wrong]), TODAY)


def test_a_day_later_other_dates_are_impossible() -> None:
    intake, sound = _judge(APPLICATIONS.topic)
    tomorrow = json.loads(json.dumps(sound[0]))
    tomorrow["data"]["application_date"] = "2026-08-02"
    message = records(APPLICATIONS, [json.dumps(tomorrow).encode()])
    assert intake.judge(message, TODAY).dead["reason"].to_pylist() == ["impossible_date"]
    later = Intake(APPLICATIONS, KEY)
    assert later.judge(message, TODAY).accepted.num_rows == 0
    assert later.judge(message, date(2026, 8, 2)).accepted.num_rows == 1
