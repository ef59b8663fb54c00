"""The published message schemas: what a producer in another language relies on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from credit_risk_platform.cli.schemas import PUBLISHED, schema_files
from credit_risk_platform.domain.contracts.message_schema import json_schema
from credit_risk_platform.domain.contracts.messages import APPLICATIONS, CONTRACTS, REPAYMENTS, TRANSACTIONS
from credit_risk_platform.domain.synthetic.bookings import transactions
from credit_risk_platform.domain.synthetic.chaos import chaos
from credit_risk_platform.domain.synthetic.events import Event, Expected, Pace, Sent, applications, repayments

AS_OF = date(2026, 6, 30)
PACE = Pace(datetime(2026, 6, 30, 9), 10)
WRITES_THEM = "python -m credit_risk_platform.cli.schemas"


def streams() -> dict[str, Iterator[Event]]:
    return {
        APPLICATIONS.topic: applications(7, AS_OF, PACE),
        REPAYMENTS.topic: repayments(800, 7, AS_OF, date(2026, 7, 31), PACE),
        TRANSACTIONS.topic: transactions(7, 100, PACE),
    }


@pytest.fixture(scope="module")
def validators() -> dict[str, Draft202012Validator]:
    return {topic: Draft202012Validator(json_schema(contract)) for topic, contract in CONTRACTS.items()}


def test_the_published_files_say_what_the_contracts_say() -> None:
    published = {path.name: path.read_text(encoding="utf-8") for path in PUBLISHED.glob("*.json")}
    assert schema_files().items() <= published.items(), f"write them again: {WRITES_THEM}"


@pytest.mark.parametrize("topic", CONTRACTS)
def test_a_schema_is_a_schema(topic: str) -> None:
    Draft202012Validator.check_schema(json_schema(CONTRACTS[topic]))


@pytest.mark.parametrize("topic", CONTRACTS)
def test_every_event_we_send_keeps_its_schema(topic: str, validators: dict[str, Draft202012Validator]) -> None:
    events = list(islice(streams()[topic], 150))
    assert len(events) == 150
    for event in events:
        assert [fault.message for fault in validators[topic].iter_errors(json.loads(event.value or b""))] == []


@pytest.mark.parametrize("topic", CONTRACTS)
def test_no_fault_that_chaos_makes_passes_for_a_message(
    topic: str, validators: dict[str, Draft202012Validator]
) -> None:
    faults = {Sent.WRONG_VERSION: 0.3, Sent.MISSING_FIELD: 0.3, Sent.ABSURD_NUMBER: 0.3}
    kinds = set()
    for event in chaos(islice(streams()[topic], 60), 5, faults):
        is_valid = validators[topic].is_valid(json.loads(event.value or b""))
        assert is_valid == (event.expected is not Expected.DEAD_LETTER), event
        kinds.add(event.kind)
    assert kinds == {Sent.SOUND, *faults}


@pytest.mark.parametrize("topic", CONTRACTS)
def test_what_is_no_json_cannot_be_read_at_all(topic: str) -> None:
    faults = {Sent.MALFORMED_JSON: 0.3, Sent.INVALID_UTF8: 0.3, Sent.TOMBSTONE: 0.3}
    for event in chaos(islice(streams()[topic], 60), 5, faults):
        if event.kind in faults:
            with pytest.raises((ValueError, TypeError)):
                json.loads(event.value)  # type: ignore[arg-type]


def application(**changed: Any) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(next(applications(7, AS_OF, PACE)).value or b"")
    message["data"] |= changed
    return message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("revol_util", 13.99), ("revol_util", "13.99%"), ("revol_util", None), ("term", 36), ("term", " 36 months"),
        ("loan_amnt", "5000.00"), ("earliest_cr_line", "1985-01-01"), ("earliest_cr_line", "Jan-1985"),
        ("annual_inc", None), ("open_acc", "3"), ("field_of_next_year", {"any": "thing"}),
    ],
)  # fmt: skip
def test_values_are_taken_as_files_spell_them(
    field: str, value: object, validators: dict[str, Draft202012Validator]
) -> None:
    assert validators[APPLICATIONS.topic].is_valid(application(**{field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("revol_util", "a lot"), ("term", 36.5), ("term", "three years"), ("loan_amnt", None), ("loan_amnt", 0),
        ("loan_amnt", "$5,000"), ("open_acc", 2.5), ("application_date", "30/06/2026"), ("id", ""), ("id", None),
        ("earliest_cr_line", "1985"), ("fico_range_low", 900), ("emp_length", 10), ("home_ownership", ["RENT"]),
    ],
)  # fmt: skip
def test_values_that_the_contract_rules_out_are_refused(
    field: str, value: object, validators: dict[str, Draft202012Validator]
) -> None:
    assert not validators[APPLICATIONS.topic].is_valid(application(**{field: value}))


@pytest.mark.parametrize("part", ["schema_version", "event_id", "event_time", "data"])
def test_no_part_of_the_envelope_may_be_missing(part: str, validators: dict[str, Draft202012Validator]) -> None:
    message = application()
    del message[part]
    assert not validators[APPLICATIONS.topic].is_valid(message)


def test_a_producer_can_see_which_fields_are_personal() -> None:
    fields = json_schema(APPLICATIONS)["properties"]["data"]["properties"]
    assert [name for name, schema in fields.items() if schema.get("x-personal")] == ["customer_id"]
