"""An application sent as JSON and the same one sent as a Kafka message must become the same typed row."""

from __future__ import annotations

import json
from datetime import date, datetime
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from credit_risk_platform.adapters.streaming.batch import RECORD_SCHEMA
from credit_risk_platform.adapters.streaming.intake import Intake, Judged
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.domain.contracts.column import Column, Kind
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.synthetic.events import Pace, applications
from credit_risk_platform.serving.fields import FIELDS
from credit_risk_platform.serving.rows import FULL_SCHEMA, bronze_rows
from credit_risk_platform.serving.schemas import EXAMPLE, read
from credit_risk_platform.serving.values import WrongValueError, typed

TODAY = date(2026, 6, 30)
KEY = TokenKey(b"a key that is only for tests")
REQUIRED = {column.name: None for column in APPLICATIONS.columns if column.required} | {"loan_amnt": 1, "term": 36}


@pytest.fixture(scope="module")
def intake() -> Intake:
    return Intake(APPLICATIONS, KEY)


def judged(intake: Intake, sent: list[dict[str, Any]]) -> Judged:
    """The same data as Kafka messages through the stream's own intake."""
    return intake.judge(records_of(sent), TODAY)


def records_of(sent: list[dict[str, Any]]) -> pa.Table:
    messages = [
        {"schema_version": 1, "event_id": str(n), "event_time": "2026-06-30T09:00:00Z", "data": one}
        for n, one in enumerate(sent)
    ]
    records = [
        {"topic": APPLICATIONS.topic, "topic_id": "t", "partition": 0, "offset": n, "value": json.dumps(one).encode()}
        for n, one in enumerate(messages)
    ]
    return pa.Table.from_pylist(records, RECORD_SCHEMA)


def full(rows: pa.Table) -> pa.Table:
    """With the columns nobody sent."""
    absent = {field.name: pa.nulls(rows.num_rows, field.type) for field in FULL_SCHEMA}
    return pa.table([rows[name] if name in rows.column_names else absent[name] for name in absent], schema=FULL_SCHEMA)


def test_five_hundred_synthetic_applications_are_the_same_rows_by_http_and_by_kafka(intake: Intake) -> None:
    events = islice(applications(7, TODAY, Pace(datetime(2026, 6, 30, 9))), 500)
    sent = [json.loads(event.value or b"")["data"] for event in events]
    for one in sent:
        one["term"] = one["term"].strip()  # " 36 months": a file's spelling, and still read
    by_kafka = judged(intake, sent)
    assert by_kafka.dead.num_rows == 0
    by_http = full(bronze_rows([read(one, TODAY, KEY) for one in sent], TODAY))
    assert by_http.num_rows == 500
    assert by_http.equals(by_kafka.accepted.select(FULL_SCHEMA.names).cast(FULL_SCHEMA))


def test_the_ten_names_mean_the_facts_of_the_fuller_application(intake: Intake) -> None:
    fuller = {
        "id": "A1", "customer_id": "CUST_12345", "application_date": "2026-06-30", "annual_inc": 75000, "age": 35,
        "revol_util": 35, "fico_range_low": 720, "fico_range_high": 720, "emp_length": "8 years", "open_acc": 5,
        "total_debt": 25000,
    }  # fmt: skip
    accepted = judged(intake, [REQUIRED | fuller]).accepted.select(FULL_SCHEMA.names)
    simple, same = read({**EXAMPLE, "id": "A1"}, TODAY, KEY), read(fuller, TODAY, KEY)
    rows = full(bronze_rows([simple], TODAY))
    asked = [name for name in FULL_SCHEMA.names if name not in ("loan_amnt", "term")]
    assert rows.select(asked).equals(accepted.cast(FULL_SCHEMA).select(asked))
    assert same.row == simple.row | {"application_date": TODAY}
    assert "CUST_12345" not in str(simple) + str(rows.to_pylist())


CLASSES = [(0, "< 1 year"), (0.9, "< 1 year"), (1, "1 year"), (9.9, "9 years"), (10, "10+ years"), (41, "10+ years")]


@pytest.mark.parametrize(("years", "text"), CLASSES)
def test_years_with_an_employer_become_the_published_classes(years: float, text: str) -> None:
    assert read({**EXAMPLE, "employment_years": years}, TODAY, KEY).row["emp_length"] == text


def test_a_utilisation_is_not_bent_by_binary_fractions() -> None:
    for points in range(1_001):
        assert read({**EXAMPLE, "credit_utilization": points / 100}, TODAY, KEY).row["revol_util"] == points


COLUMNS = [FIELDS[column.name].column for column in APPLICATIONS.columns if not column.pii and column.name != "id"]
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-10, 2_000),
    st.integers(-5, 10**10),
    st.decimals(0, 10**7, places=3).map(float),
)
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["n/a", " NA ", "36 months", "7 months", "10.65%", "1e1 %", "Dec-2011", "2011-02-30", "2011-12-05"]
    ),
    st.dates(date(1850, 1, 1), date(2150, 1, 1)).map(str),
)


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(COLUMNS), NUMBERS | TEXTS), min_size=30, max_size=60))
def test_what_http_accepts_the_stream_accepts_too_and_reads_alike(
    intake: Intake, cells: list[tuple[Column, Any]]
) -> None:
    accepted = []
    for column, value in cells:
        try:
            accepted.append((column, value, typed(column, value, TODAY)))
        except WrongValueError:
            continue
    base = REQUIRED | {"application_date": "2026-06-30"}
    sent = [base | {"id": str(n), column.name: value} for n, (column, value, _) in enumerate(accepted)]
    found = judged(intake, sent)
    assert found.dead.num_rows == 0, found.dead.to_pylist()
    for (column, value, ours), row in zip(accepted, found.accepted.to_pylist(), strict=True):
        expected = TODAY if column.name == "application_date" and ours is None else ours
        assert row[column.name] == expected, (column.name, value)
        assert repr(row[column.name]) == repr(expected) or column.kind is Kind.MONEY
