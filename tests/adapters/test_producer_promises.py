"""What the producer and the schema promise is what the intake does: two descriptions of one contract, and its judge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from jsonschema import Draft202012Validator

from credit_risk_platform.adapters.sources.lending_club_events import applications_from_lending_club
from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA
from credit_risk_platform.adapters.streaming.intake import Intake, Judged
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.domain.contracts.message_schema import json_schema
from credit_risk_platform.domain.contracts.messages import (
    APPLICATIONS,
    CONTRACTS,
    REPAYMENTS,
    TRANSACTIONS,
    MessageContract,
)
from credit_risk_platform.domain.synthetic.bookings import transactions
from credit_risk_platform.domain.synthetic.chaos import chaos
from credit_risk_platform.domain.synthetic.events import Event, Expected, Pace, Sent, applications, repayments

AS_OF, NOW = date(2026, 6, 30), datetime(2026, 8, 1)
PACE = Pace(datetime(2026, 6, 30, 9))
REASONS = {
    Sent.MALFORMED_JSON: "not_json", Sent.INVALID_UTF8: "bad_encoding", Sent.WRONG_VERSION: "wrong_schema_version",
    Sent.MISSING_FIELD: "missing_field", Sent.ABSURD_NUMBER: "out_of_range", Sent.TOMBSTONE: "tombstone",
}  # fmt: skip


def judged(contract: MessageContract, values: Iterable[bytes | None]) -> Judged:
    rows = [
        {"topic": contract.topic, "topic_id": "id", "partition": 0, "offset": place, "kafka_time": NOW, "key": b"k",
         "value": value, "size": len(value or b"")}
        for place, value in enumerate(values)
    ]  # fmt: skip
    key = TokenKey(b"a key for tests, 32 bytes long..")
    return Intake(contract, key).judge(pa.Table.from_pylist(rows, RECORD_SCHEMA), NOW.date())


def check(contract: MessageContract, sound: Iterator[Event]) -> None:
    events = list(chaos(islice(sound, 1_500), 3))
    found = judged(contract, (event.value for event in events))
    reasons = dict(zip(found.dead["offset"].to_pylist(), found.dead["reason"].to_pylist(), strict=True))
    for place, event in enumerate(events):
        assert reasons.get(place) == REASONS.get(event.kind), event
        assert (event.expected is Expected.DEAD_LETTER) == (place in reasons)
    assert set(reasons.values()) == set(REASONS.values())
    assert found.accepted.num_rows + found.dead.num_rows == len(events)


@pytest.mark.parametrize("topic", CONTRACTS)
def test_the_intake_makes_of_each_message_what_the_producer_says(topic: str) -> None:
    sound = {
        APPLICATIONS.topic: applications(7, AS_OF, PACE),
        REPAYMENTS.topic: repayments(20_000, 7, AS_OF, date(2026, 7, 31), PACE),
        TRANSACTIONS.topic: transactions(7, 500, PACE),
    }
    check(CONTRACTS[topic], sound[topic])


def test_lending_club_s_loans_pass_the_intake(datasets: Path) -> None:
    file = datasets / "lendingclub" / "lc_accepted_2007_2018Q4_sample2000.csv.gz"
    check(APPLICATIONS, applications_from_lending_club(file, PACE, today=AS_OF))


SPELLINGS: dict[str, list[Any]] = {
    "loan_amnt": ["5000.", "  5000 ", "1e3", 5000.555, "+5000", 1e9, 1e9 + 1, 0.5, "n/a", "", None, True, [1], ".5e4"],
    "revol_util": ["13.99%", "13.99 %", " 13.99%", ".5", "1e1%", "1e-1", 13, None, "%", -1, 1_001],
    "term": ["36 months", " 36", "36.0 months", "36.", "36months", 36.0, 601, 0],
    "open_acc": ["3", "3.0", "3.", 3.0, 3.5, "3.5", "+3", "-1", -1, 2**31, None, True],
    "dti": [-1, -1.1, 999, "27.65", "27.65%", "-1"],
    "fico_range_low": [300, 299, 850, 851, "700"],
    "earliest_cr_line": ["Jan-1985", "1985-01-31", "1985-01-31 10:00:00", "Foo-1985", None, 1985],
    "application_date": ["2026-06-30", "2026-06-30 10:11:12", "2026-06-30T10:11:12", None, "30/06/2026"],
    "id": ["x", " ", None],
    "emp_length": ["n/a", None, ""],
    "total_bal_il": ["1.5", 1.5, 1e9, -1],
}
STRICTER: dict[str, list[Any]] = {"id": [1], "emp_length": [5], "revol_util": ["n/a"], "application_date": ["2026-6-3"]}
"""What the intake lets pass, since files are spelled so, and the schema does not."""


@pytest.mark.parametrize(("spelled", "alike"), [(SPELLINGS, True), (STRICTER, False)])
def test_schema_and_intake_agree_on_how_a_value_may_be_spelled(spelled: dict[str, list[Any]], alike: bool) -> None:
    plain = next(applications(7, AS_OF, PACE)).value or b""
    cases = [(field, value) for field, values in spelled.items() for value in values]
    messages: list[dict[str, Any]] = [json.loads(plain) for _ in cases]
    for message, (field, value) in zip(messages, cases, strict=True):
        message["data"][field] = value
    accepted = judged(APPLICATIONS, (json.dumps(message).encode() for message in messages)).accepted
    passed = set(accepted["offset"].to_pylist())
    schema = Draft202012Validator(json_schema(APPLICATIONS))
    differ = [case for place, case in enumerate(cases) if schema.is_valid(messages[place]) != (place in passed)]
    assert differ == ([] if alike else cases)
