"""The providers' clients against real servers that page, refuse, stall and change their minds."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest

from credit_risk_platform.adapters.fintech.source import ConnectionLostError
from credit_risk_platform.adapters.http_source import PATIENCE_SECONDS, TRIES, Effort, HttpSource, SourceError
from credit_risk_platform.adapters.sources.plaid import PlaidClient
from credit_risk_platform.adapters.sources.razorpayx import RazorpayXClient
from tests.fintech.conftest import TOKEN, Clock
from tests.fintech.stand_ins import plaid as plaid_book
from tests.fintech.stand_ins import razorpayx as razorpayx_book
from tests.fintech.stand_ins.plaid import PlaidStandIn, transaction
from tests.fintech.stand_ins.razorpayx import RazorpayXStandIn
from tests.fintech.stand_ins.server import Reply

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 12, 31)
TOO_MANY = {"error_type": "RATE_LIMIT_EXCEEDED", "error_code": "RATE_LIMIT_EXCEEDED", "request_id": "r"}
SECRETS = (
    TOKEN, plaid_book.CLIENT_ID, plaid_book.SECRET, razorpayx_book.KEY_ID, razorpayx_book.KEY_SECRET,
    razorpayx_book.ACCOUNT,
)  # fmt: skip


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row.get("transaction_id") or row["id"] for row in rows]


# ------------------------------------------------------------------------------------------------------- Plaid


def test_a_year_of_plaid_comes_in_pages_of_500_whole_and_once(plaid: PlaidStandIn, plaid_client: PlaidClient) -> None:
    plaid.year(TOKEN, "acc-1", FIRST, 366)
    found = ids(plaid_client.get_plaid_transactions(TOKEN, FIRST, LAST))
    assert sorted(found) == sorted(plaid.items[TOKEN])
    assert [request.body["options"] for request in plaid.requests] == [
        {"count": 500, "offset": 0},
        {"count": 500, "offset": 500},
    ]


def test_a_list_that_changes_between_two_pages_is_read_again_from_its_beginning(plaid, plaid_client) -> None:
    plaid.page_rows = 10
    plaid.year(TOKEN, "acc-1", FIRST, 20)

    def grow(request: Any) -> None:
        if len(plaid.requests) == 2:
            plaid.add(TOKEN, [transaction("acc-1", 500, dt.date(2024, 6, 1))])

    plaid.before = grow
    found = ids(plaid_client.get_plaid_transactions(TOKEN, FIRST, LAST))
    assert sorted(found) == sorted(plaid.items[TOKEN])


def test_a_page_that_plaid_gives_twice_hides_no_other_one(plaid, plaid_client) -> None:
    plaid.page_rows = 10
    plaid.year(TOKEN, "acc-1", FIRST, 20)
    pages = plaid_client.pages_between(TOKEN, FIRST, LAST)
    plaid.script.extend([None, Reply(200, pages[0][0])])
    assert sorted(ids(plaid_client.get_plaid_transactions(TOKEN, FIRST, LAST))) == sorted(plaid.items[TOKEN])


def test_a_mutation_during_paging_restarts_from_the_cursor_of_the_update_s_first_page(plaid, plaid_client) -> None:
    """Not from the last page's: Plaid's answer to it would leave out what changed."""
    plaid.page_rows = 4
    plaid.year(TOKEN, "acc-1", FIRST, 10)
    cursor = plaid_client.pages_since(TOKEN, None)[-1][1]["next_cursor"]
    late = [transaction("acc-1", 100 + n, dt.date(2024, 6, 1)) for n in range(10)]
    plaid.add(TOKEN, late)
    plaid.requests.clear()
    newest = transaction("acc-1", 200, dt.date(2024, 6, 2))
    plaid.before = lambda _: plaid.add(TOKEN, [newest]) if len(plaid.requests) == 2 else None
    pages = plaid_client.pages_since(TOKEN, cursor)
    assert sorted(ids([row for _, page in pages for row in page["added"]])) == sorted(ids([*late, newest]))
    asked = [request.body["cursor"] for request in plaid.requests]
    assert asked[2] == asked[0] == cursor
    assert not pages[-1][1]["has_more"]


def test_data_that_never_stands_still_is_given_up_with_nothing_returned(plaid, plaid_client) -> None:
    plaid.page_rows = 1
    plaid.year(TOKEN, "acc-1", FIRST, 4)
    plaid.before = lambda _: plaid.add(TOKEN, [transaction("acc-1", 100 + len(plaid.requests), FIRST)])
    with pytest.raises(SourceError, match="changed while they were read, 6 times; nothing was landed"):
        plaid_client.pages_since(TOKEN, None)


@pytest.mark.parametrize("code", ["ITEM_LOGIN_REQUIRED", "PRODUCT_NOT_READY", "INVALID_ACCESS_TOKEN"])
def test_a_login_that_cannot_be_read_says_what_to_do_about_it(plaid, plaid_client, code: str) -> None:
    plaid.broken[TOKEN] = (400, code)
    with pytest.raises(
        ConnectionLostError, match=rf"Plaid answered 400 {code} \(request HNTDNrA8F1shFEW\)\. Next step"
    ):
        plaid_client.pages_since(TOKEN, None)


def test_wrong_keys_are_nobody_s_login(plaid, clock: Clock) -> None:
    client = PlaidClient("someone", "else", url=plaid.url, sleep=clock.sleep, clock=clock)
    with pytest.raises(SourceError, match=r"INVALID_API_KEYS.*CRP_PLAID_CLIENT_ID") as caught:
        client.pages_since(TOKEN, None)
    client.close()
    assert not isinstance(caught.value, ConnectionLostError)


# --------------------------------------------------------------------------------------------------- RazorpayX


def test_a_hundred_transactions_come_over_two_pages(razorpayx: RazorpayXStandIn, razorpayx_client) -> None:
    razorpayx.year(FIRST, 366)
    found = razorpayx_client.get_razorpay_transactions(limit=100)
    assert (len(found), len(set(ids(found))), len(razorpayx.requests)) == (100, 100, 2)
    newest = sorted(razorpayx.transactions, key=lambda one: one["created_at"], reverse=True)[:100]
    assert {one["created_at"] for one in found} == {one["created_at"] for one in newest}


def test_a_year_without_a_total_ends_at_the_short_page(razorpayx, razorpayx_client) -> None:
    razorpayx.year(FIRST, 366)
    pages = razorpayx_client.pages({}, 100)
    assert sorted(ids([row for _, page in pages for row in page])) == sorted(ids(razorpayx.transactions))
    assert [len(page) for _, page in pages] == [100] * 5 + [47]


def test_days_begin_and_end_at_midnight_utc(razorpayx, razorpayx_client) -> None:
    at = [dt.datetime(2024, 3, day, hour, minute, tzinfo=dt.UTC) for day, hour, minute in
          ((1, 23, 59), (2, 0, 0), (2, 23, 59), (3, 0, 0))]  # fmt: skip
    razorpayx.transactions = [razorpayx_book.transaction(number, moment) for number, moment in enumerate(at)]
    day = dt.date(2024, 3, 2)
    (page,) = razorpayx_client.pages_between(day, day)
    assert [transaction["id"] in page for transaction in razorpayx.transactions] == [False, True, True, False]


def test_a_page_that_razorpayx_gives_twice_is_asked_for_again(razorpayx, razorpayx_client) -> None:
    razorpayx.year(FIRST, 366)
    razorpayx.repeat = 2
    pages = razorpayx_client.pages({}, 100)
    assert sorted(ids([row for _, page in pages for row in page])) == sorted(ids(razorpayx.transactions))


def test_a_page_that_stays_the_same_is_an_error_and_not_an_end(razorpayx, razorpayx_client) -> None:
    razorpayx.year(FIRST, 366)
    razorpayx.repeat = 99
    with pytest.raises(SourceError, match="same page again at skip=100"):
        razorpayx_client.pages({}, 100)


def test_bookings_that_come_in_while_paging_hide_none_of_the_older_ones(razorpayx, razorpayx_client) -> None:
    razorpayx.year(FIRST, 366)
    old = ids(razorpayx.transactions)
    late = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    razorpayx.before = lambda _: razorpayx.transactions.append(
        razorpayx_book.transaction(9_000 + len(razorpayx.requests), late)
    )
    pages = razorpayx_client.pages({}, 100)
    assert set(old) <= {row["id"] for _, page in pages for row in page}


def test_a_dead_key_says_which_settings_to_renew(razorpayx, clock) -> None:
    client = RazorpayXClient("rzp", "wrong", razorpayx_book.ACCOUNT, url=razorpayx.url, sleep=clock.sleep)
    with pytest.raises(ConnectionLostError, match=r"401 BAD_REQUEST_ERROR.*CRP_RAZORPAYX_KEY_ID") as caught:
        client.get_razorpay_transactions()
    client.close()
    assert razorpayx_book.ACCOUNT not in str(caught.value)


# ---------------------------------------------------------------------------------------------------- the wire


def test_a_429_is_waited_for_at_least_as_long_as_it_says(plaid, plaid_client, clock: Clock) -> None:
    plaid.year(TOKEN, "acc-1", FIRST, 4)
    plaid.script.extend([Reply(429, TOO_MANY, {"Retry-After": "17"}), Reply(429, TOO_MANY, {"Retry-After": "2"})])
    assert len(plaid_client.pages_since(TOKEN, None)) == 1
    first, second = clock.slept
    assert 17 <= first <= 18
    assert 2 <= second <= 3
    effort = plaid_client.http.effort
    assert (effort.requests, effort.retries) == (3, 2)
    assert effort.waited_seconds == pytest.approx(first + second)


def test_without_a_word_on_when_the_pauses_double_and_are_not_all_alike(plaid, plaid_client, clock: Clock) -> None:
    plaid.script.extend([Reply(500, {}), Reply(503, {}), Reply(502, {}), Reply(429, TOO_MANY)])
    plaid.add(TOKEN, [])
    plaid_client.pages_since(TOKEN, None)
    assert [int(pause) for pause in clock.slept] == [1, 2, 4, 8]
    assert all(pause % 1 for pause in clock.slept), "jitter"


def test_a_server_that_stays_down_is_given_up_after_some_tries(plaid, plaid_client, clock: Clock) -> None:
    plaid.script.extend([Reply(500, {"error_code": "INTERNAL_SERVER_ERROR"})] * 10)
    with pytest.raises(SourceError, match="Plaid answered 500 INTERNAL_SERVER_ERROR"):
        plaid_client.pages_since(TOKEN, None)
    assert len(plaid.requests) == TRIES


def test_a_provider_that_wants_an_hour_is_left_for_the_next_poll(razorpayx, razorpayx_client, clock: Clock) -> None:
    razorpayx.script.append(Reply(429, {"error": {"code": "RATE"}}, {"Retry-After": str(int(PATIENCE_SECONDS) + 1)}))
    with pytest.raises(SourceError, match=r"429 RATE\. Next step: wait for the next poll"):
        razorpayx_client.get_razorpay_transactions()
    assert clock.slept == []


def test_an_answer_that_does_not_come_is_asked_for_again(plaid, plaid_client) -> None:
    plaid.add(TOKEN, [])
    plaid.script.append(Reply(200, {}, seconds=0.8))
    plaid_client.pages_since(TOKEN, None)
    assert plaid_client.http.effort.retries == 1


def test_nobody_there_and_no_json_say_so(plaid, plaid_client, clock: Clock) -> None:
    plaid.script.append(Reply(200, "<html>Sign in to the hotel's network</html>"))
    with pytest.raises(SourceError, match="no JSON object"):
        plaid_client.pages_since(TOKEN, None)
    plaid.script.append(Reply(200, {"request_id": "r"}))
    with pytest.raises(SourceError, match="Plaid answered 200"):
        plaid_client.pages_since(TOKEN, None)
    gone = PlaidClient("id", "s3cr3t-s3cr3t", url="http://127.0.0.1:1", sleep=clock.sleep, clock=clock)
    with pytest.raises(SourceError, match="could not be reached, or hung up"):
        gone.pages_since(TOKEN, None)
    gone.close()


def test_a_redirect_does_not_take_the_keys_along(plaid, plaid_client) -> None:
    plaid.script.append(Reply(307, {}, {"Location": f"{plaid.url}/transactions/sync"}))
    with pytest.raises(SourceError, match="it has moved"):
        plaid_client.pages_since(TOKEN, None)
    assert len(plaid.requests) == 1


def test_no_login_is_asked_more_often_than_the_provider_allows(plaid, clock: Clock) -> None:
    client = PlaidClient(
        plaid_book.CLIENT_ID, plaid_book.SECRET, url=plaid.url, per_minute=3, sleep=clock.sleep, clock=clock
    )
    plaid.page_rows = 1
    plaid.year(TOKEN, "acc-1", FIRST, 5)
    began = clock.now
    pages = client.pages_since(TOKEN, None)
    client.close()
    assert len(pages) == 6
    assert clock.now - began == pytest.approx(60), "three now, three after a minute"


@pytest.mark.parametrize(
    "url",
    ["http://api.example.com", "http://10.0.0.5:80", "https://me:hush-hush@api.example.com", "ftp://h", "plaid.com"],
)
def test_keys_travel_encrypted_or_not_at_all(url: str) -> None:
    with pytest.raises(SourceError, match="CRP_PLAID_URL must be an https:// address") as caught:
        PlaidClient("id", "secret", url=url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://production.plaid.com", "http://localhost:8", "http://[::1]:8", "http://127.0.0.9"]
)
def test_tls_or_this_machine_itself(url: str) -> None:
    HttpSource("Plaid", url, setting="CRP_PLAID_URL", secrets=(), per_minute=1).close()


@pytest.mark.parametrize("fault", [
    Reply(400, {"error_type": "X", "error_code": f"BAD {TOKEN}", "request_id": f"{plaid_book.SECRET}"}),
    Reply(200, f"no json {TOKEN}"),
    Reply(302, {}, {"Location": f"http://127.0.0.1/{TOKEN}"}),
    Reply(400, {"error": {"code": f"{razorpayx_book.ACCOUNT} {razorpayx_book.KEY_SECRET}"}}),
    Reply(500, {"error": f"{razorpayx_book.KEY_ID}"}),
])  # fmt: skip
def test_no_error_log_or_repr_names_a_secret(
    plaid, plaid_client, razorpayx, razorpayx_client, caplog: pytest.LogCaptureFixture, fault: Reply
) -> None:
    """With every logger at its most talkative: urllib3 would tell the path, the query and the account in it."""
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests", "dlt", "tenacity"):
        caplog.set_level(logging.DEBUG, logger=name)
    said = []
    for server, ask in (
        (plaid, lambda: plaid_client.get_plaid_transactions(TOKEN, FIRST, LAST)),
        (plaid, lambda: plaid_client.pages_since(TOKEN, None)),
        (razorpayx, razorpayx_client.get_razorpay_transactions),
    ):
        server.script.extend([fault] * TRIES)
        with pytest.raises(SourceError) as caught:
            ask()
        server.script.clear()
        said += [str(error) + repr(error) + repr(vars(error)) for error in chain(caught.value)]
    said += [repr(thing) for thing in (plaid_client, razorpayx_client, plaid_client.http, razorpayx_client.http)]
    told = "\n".join(said) + caplog.text
    assert not [secret for secret in SECRETS if secret in told]


def chain(error: BaseException | None) -> list[BaseException]:
    """The error, and those it was raised from or within: a log prints them all."""
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


def test_effort_is_counted_from_a_point_on() -> None:
    assert Effort(5, 2, 3.5) - Effort(2, 1, 0.5) == Effort(3, 1, 3.0)
