"""The events that producers, demos and tests send: the same seeds, the same bytes; faults in the stated shares."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_risk_platform.adapters.streaming.batch import Outcome
from credit_risk_platform.domain.contracts.column import Stage
from credit_risk_platform.domain.contracts.loan_columns import INPUT
from credit_risk_platform.domain.contracts.messages import APPLICATIONS
from credit_risk_platform.domain.synthetic.bookings import SECONDS_PER_CUSTOMER, transactions
from credit_risk_platform.domain.synthetic.chaos import CHAOS, chaos
from credit_risk_platform.domain.synthetic.events import (
    Event,
    Expected,
    Pace,
    Sent,
    applications,
    encode,
    repayments,
)
from credit_risk_platform.domain.synthetic.portfolio import portfolio

AS_OF, UNTIL = date(2026, 6, 30), date(2026, 7, 31)
START = datetime(2026, 6, 30, 9)
PACE = Pace(START, 10)
BOOK = 400


def some_applications(seed: int = 7) -> Iterator[Event]:
    return applications(seed, AS_OF, PACE)


def some_transactions(seed: int = 7) -> Iterator[Event]:
    return transactions(seed, 1_000, PACE)


@pytest.fixture(scope="module")
def paid() -> list[Event]:
    """All that a book of 400 loans learns in July."""
    return list(repayments(BOOK, 7, AS_OF, UNTIL, PACE))


def read(event: Event) -> dict[str, Any]:
    assert event.value is not None
    message: dict[str, Any] = json.loads(event.value)
    return message


def data(events: list[Event]) -> list[dict[str, Any]]:
    return [read(event)["data"] for event in events]


# ------------------------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize("make", [some_applications, some_transactions])
def test_the_same_seed_gives_the_same_bytes_and_more_events_begin_with_the_fewer(
    make: Callable[..., Iterator[Event]],
) -> None:
    once, again = list(islice(make(), 1_200)), list(islice(make(), 1_700))
    assert once == again[:1_200]
    assert {event.value for event in once}.isdisjoint(event.value for event in islice(make(8), 1_200))


def test_the_same_book_gives_the_same_repayments(paid: list[Event]) -> None:
    assert list(islice(repayments(BOOK, 7, AS_OF, UNTIL, PACE), 50)) == paid[:50]


def test_the_first_message_of_seed_7_is_what_the_documentation_shows() -> None:
    first = next(some_applications())
    assert first.key == b"A7-0000001"
    message = read(first)
    assert list(message) == ["schema_version", "event_id", "event_time", "data"]
    assert message["event_id"] == "c7be8940-ee26-5633-8c6a-b1b35ba8cea1"
    assert message["event_time"] == "2026-06-30T09:00:00.000000Z"
    shown = {"id": "A7-0000001", "loan_amnt": 11_075, "term": " 24 months", "earliest_cr_line": "Oct-2014"}
    assert shown.items() <= message["data"].items()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63), events=st.integers(1, 60), per_second=st.floats(0.01, 1e6))
def test_any_seed_and_pace_gives_distinct_events_in_order_of_time(seed: int, events: int, per_second: float) -> None:
    pace = Pace(START, per_second)
    for stream in (applications(seed, AS_OF, pace), transactions(seed, 50, pace)):
        found = [read(event) for event in islice(stream, events)]
        assert len({message["event_id"] for message in found}) == events
        times = [message["event_time"] for message in found]
        assert times == sorted(times)


# ------------------------------------------------------------------------------------------------------ applications


def test_an_application_carries_nothing_that_comes_after_the_decision() -> None:
    later = {c.name for c in INPUT if c.stage in (Stage.OFFER, Stage.OUTCOME, Stage.LABEL)}
    fields = {name for one in data(list(islice(some_applications(), 600))) for name in one}
    assert fields <= {column.name for column in APPLICATIONS.columns}
    assert not fields & later
    assert {"fico_range_low", "revolving_limit", "txn_nsf_count_90d", "age", "addr_state"} <= fields


def test_applicants_are_in_no_book_and_in_no_other_seed_s() -> None:
    book = next(portfolio(1_000, 7, AS_OF, with_repayments=False)).loans
    seven, eight = (data(list(islice(some_applications(seed), 1_000))) for seed in (7, 8))
    for field in ("id", "customer_id"):
        mine = {one[field] for one in seven}
        assert len(mine) == 1_000
        assert mine.isdisjoint(one[field] for one in eight)
        assert mine.isdisjoint(book[field].to_pylist())


def test_every_application_is_of_the_day_the_book_ends_and_its_dates_lie_before() -> None:
    for one in data(list(islice(some_applications(), 500))):
        assert one["application_date"] == "2026-06-30"
        assert date.fromisoformat(one["account_open_date"]) <= AS_OF
        assert datetime.strptime(one["earliest_cr_line"], "%b-%Y").date() < AS_OF


# -------------------------------------------------------------------------------------------------------- repayments


def test_the_book_with_its_repayments_is_the_book_of_the_later_day(paid: list[Event]) -> None:
    """What a sink that keeps the last word on each instalment ends up with."""

    def panel(day: date) -> dict[tuple[str, int], dict[str, Any]]:
        rows = next(portfolio(BOOK, 7, day)).repayments
        assert rows is not None
        return {(row["loan_id"], row["instalment_number"]): row for row in rows.drop(["known_at"]).to_pylist()}

    before, after = panel(AS_OF), panel(UNTIL)
    news = {(one["loan_id"], one["instalment_number"]): one for one in data(paid)}
    assert len(news) == len(paid)
    changed = {key for key, row in after.items() if before.get(key) != row}
    assert set(news) == changed
    assert changed - set(before)
    assert changed & set(before), "no late payment restates an earlier instalment: the test proves less than it says"
    assert news == {key: json.loads(encode(after[key])) for key in news}


def test_missed_instalments_come_with_no_day_and_no_money(paid: list[Event]) -> None:
    missed = [one for one in data(paid) if one["paid_date"] is None]
    assert 0 < len(missed) < len(paid) / 2
    assert all(one["amount_paid"] == 0 and one["amount_due"] > 0 for one in missed)


def test_a_loan_s_instalments_come_in_their_own_order(paid: list[Event]) -> None:
    last: dict[str, int] = {}
    for one in data(paid):
        assert one["instalment_number"] > last.get(one["loan_id"], 0)
        last[one["loan_id"]] = one["instalment_number"]
    assert {event.key.decode() for event in paid} == set(last)


def test_sent_again_under_another_name_the_instalments_are_other_events(paid: list[Event]) -> None:
    other = next(repayments(BOOK, 7, AS_OF, UNTIL, PACE, source=1))
    assert read(other)["data"] == read(paid[0])["data"]
    assert read(other)["event_id"] != read(paid[0])["event_id"]


@pytest.mark.parametrize(("as_of", "until"), [(UNTIL, AS_OF), (AS_OF, AS_OF), (date(2025, 1, 31), UNTIL)])
def test_days_between_which_nothing_can_be_told_are_refused(as_of: date, until: date) -> None:
    with pytest.raises(ValueError, match="No repayments between"):
        repayments(BOOK, 7, as_of, until, PACE)


# ------------------------------------------------------------------------------------------------------ transactions


def test_each_customer_s_balance_adds_up_over_all_bookings() -> None:
    balance: dict[str, float] = {}
    for one in data(list(islice(some_transactions(), 2_500))):
        if (before := balance.get(one["customer_id"])) is not None:
            assert one["balance_after"] == pytest.approx(before + one["amount"], abs=0.001)
        balance[one["customer_id"]] = one["balance_after"]


def test_a_customer_books_every_few_seconds_so_that_a_window_holds_several() -> None:
    events = [read(event) for event in islice(some_transactions(), 3_000)]
    times: dict[str, list[datetime]] = {}
    for one in events:
        times.setdefault(one["data"]["customer_id"], []).append(datetime.fromisoformat(one["event_time"]))
    gaps = [(after - before) / timedelta(seconds=1) for found in times.values() for before, after in pairwise(found)]
    assert sum(gaps) / len(gaps) == pytest.approx(SECONDS_PER_CUSTOMER, rel=0.1)
    assert {one["data"]["category"] for one in events} == {
        "salary", "transfer", "rent", "groceries", "card", "cash", "loan_payment", "fee", "returned_payment",
    }  # fmt: skip


def test_bookings_are_those_of_the_book_s_own_customers() -> None:
    customers = set(next(portfolio(30, 7, AS_OF, with_repayments=False)).loans["customer_id"].to_pylist())
    seen = {one["customer_id"] for one in data(list(islice(transactions(7, 30, PACE), 500)))}
    assert seen == customers


# ------------------------------------------------------------------------------------------------------------- chaos


def bad(make: Callable[..., Iterator[Event]] = some_transactions, events: int = 4_000, seed: int = 3) -> list[Event]:
    return list(chaos(islice(make(), events), seed))


def test_chaos_keeps_the_number_of_messages_and_repeats_itself() -> None:
    assert len(bad()) == 4_000
    assert bad() == bad()
    assert bad() != bad(seed=4)


def test_every_fault_comes_in_about_its_share_and_says_what_the_sink_should_make_of_it() -> None:
    events = bad()
    kinds = Counter(event.kind for event in events)
    for kind, share in CHAOS.items():
        assert kinds[kind] == pytest.approx(4_000 * share, rel=0.5), kind
    expected = {event.kind: event.expected for event in events}
    alive = {
        Sent.SOUND: Expected.RECORDED, Sent.OUT_OF_ORDER: Expected.RECORDED, Sent.DUPLICATE: Expected.DUPLICATE,
        Sent.LATE: Expected.LATE,
    }  # fmt: skip
    assert expected == {kind: alive.get(kind, Expected.DEAD_LETTER) for kind in Sent}
    assert {str(one) for one in Expected} <= {str(one) for one in Outcome}


def test_an_application_is_never_late() -> None:
    kinds = {event.kind for event in bad(some_applications, 2_000)}
    assert kinds == set(Sent) - {Sent.LATE}


def test_a_duplicate_repeats_a_message_already_sent() -> None:
    before: set[bytes | None] = set()
    for event in bad():
        assert (event.value in before) == (event.kind is Sent.DUPLICATE) or event.value is None
        before.add(event.value)


def test_a_late_event_comes_a_day_after_its_time_and_after_its_customer_was_seen() -> None:
    seen: set[bytes] = set()
    for event in bad():
        if event.kind is Sent.LATE:
            assert event.key in seen
            assert datetime.fromisoformat(read(event)["event_time"]).replace(tzinfo=None) < START
        elif event.expected is Expected.RECORDED:
            seen.add(event.key)


def test_events_out_of_order_have_changed_places_with_their_neighbour() -> None:
    events = list(chaos(islice(some_applications(), 500), 3, {Sent.OUT_OF_ORDER: 0.2}))
    assert sorted(event.value or b"" for event in events) == sorted(
        event.value or b"" for event in islice(some_applications(), 500)
    )
    swapped = [place for place, event in enumerate(events) if event.kind is Sent.OUT_OF_ORDER]
    assert len(swapped) > 50
    assert all(read(events[place])["event_time"] < read(events[place - 1])["event_time"] for place in swapped)


@settings(max_examples=20, deadline=None)
@given(
    shares=st.dictionaries(st.sampled_from([kind for kind in Sent if kind is not Sent.SOUND]), st.floats(0, 0.11)),
    seed=st.integers(0, 2**32),
)
def test_whatever_the_shares_no_message_is_lost_and_sound_ones_are_untouched(
    shares: dict[Sent, float], seed: int
) -> None:
    plain = {event.value for event in islice(some_transactions(), 120)}
    events = list(chaos(islice(some_transactions(), 120), seed, shares))
    assert len(events) == 120
    assert all(event.value in plain for event in events if event.expected is Expected.RECORDED)


@pytest.mark.parametrize("shares", [{Sent.LATE: -0.1}, {Sent.LATE: 0.6, Sent.TOMBSTONE: 0.6}])
def test_shares_that_make_no_sense_are_refused(shares: dict[Sent, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        chaos([], 1, shares)
