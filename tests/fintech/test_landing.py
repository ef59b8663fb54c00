"""Bookings in the lake: all of them, once, without a person in them, and after a crash as before it."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from credit_risk_platform.adapters.fintech import landing as landing_module
from credit_risk_platform.adapters.fintech.landing import BankTransactions
from credit_risk_platform.adapters.fintech.source import Delivery, OvertakenError
from credit_risk_platform.adapters.fintech.tables import CURSORS, DELIVERIES, REJECTS
from credit_risk_platform.adapters.sources.plaid import PlaidSource
from credit_risk_platform.adapters.sources.razorpayx import RazorpayXSource
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.domain.contracts.bank_transactions import BANK_TRANSACTION_COLUMNS, CATEGORIES
from credit_risk_platform.settings import PROJECT_ROOT
from tests.fintech.conftest import CUSTOMER, TOKEN
from tests.fintech.stand_ins import plaid as plaid_book
from tests.fintech.stand_ins import razorpayx as razorpayx_book
from tests.fintech.stand_ins.plaid import PlaidStandIn, transaction

PLAID, RAZORPAYX = "bronze.raw_plaid_transactions", "bronze.raw_razorpayx_transactions"
NOW = dt.datetime(2024, 12, 31, 18)
FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 12, 31)


@pytest.fixture
def bank(warehouse: DuckLakeWarehouse, plaid_source: PlaidSource, key: TokenKey) -> BankTransactions:
    made = BankTransactions(warehouse, plaid_source, PLAID, key)
    made.prepare()
    return made


@pytest.fixture
def rupees(warehouse: DuckLakeWarehouse, razorpayx_source: RazorpayXSource, key: TokenKey) -> BankTransactions:
    made = BankTransactions(warehouse, razorpayx_source, RAZORPAYX, key)
    made.prepare()
    return made


def poll(bank: BankTransactions, run: str = "run", now: dt.datetime = NOW) -> landing_module.Receipt:
    (connection,) = bank.source.connections()
    return bank.land_changes(connection, run_id=run, now=now)


def fetch(bank: BankTransactions, first: dt.date, last: dt.date, run: str = "run") -> landing_module.Receipt:
    (connection,) = bank.source.connections()
    return bank.land_days(connection, first, last, run_id=run, now=NOW)


def table(bank: BankTransactions) -> dict[str, tuple[Any, ...]]:
    rows = bank.warehouse.query(f"select * from {bank.table}").to_pylist()
    held = {row["transaction_id"]: (row["booked_on"], row["amount"], row["pending"]) for row in rows}
    assert len(held) == len(rows), "a booking stands there twice"
    return held


def truth(plaid: PlaidStandIn) -> dict[str, tuple[Any, ...]]:
    return {
        name: (
            dt.date.fromisoformat(one["date"]),
            Decimal(str(-one["amount"])).quantize(Decimal("0.01")),
            one["pending"],
        )
        for name, one in plaid.items[TOKEN].items()
    }


def test_the_first_poll_lands_the_whole_history_and_the_next_one_nothing_new(plaid, bank, one):
    plaid.page_rows = 100
    plaid.year(TOKEN, "acc-1", FIRST, 366)
    receipt = poll(bank)
    assert table(bank) == truth(plaid)
    assert (receipt.rows_in, receipt.rows_landed, receipt.rows_rejected, receipt.pages) == (547, 547, 0, 6)
    again = poll(bank, "second")
    assert (again.rows_in, again.pages) == (0, 1)
    assert table(bank) == truth(plaid)
    assert one(f"select version from {CURSORS}") == 2


def test_late_changes_and_withdrawals_reach_the_days_they_belong_to(plaid, bank):
    old, gone, moved = (transaction("acc-1", number, dt.date(2024, 3, number), pending=True) for number in (1, 2, 3))
    plaid.add(TOKEN, [old, gone, moved])
    poll(bank)
    plaid.add(TOKEN, [{**old, "amount": 99.99, "pending": False}, {**moved, "date": "2024-03-09"}])
    plaid.remove(TOKEN, gone["transaction_id"])
    receipt = poll(bank, "second")
    assert table(bank) == truth(plaid)
    assert receipt.rows_removed == 1
    assert receipt.days == {
        dt.date(2024, 3, 1): 1,
        dt.date(2024, 3, 2): 0,
        dt.date(2024, 3, 3): 0,
        dt.date(2024, 3, 9): 1,
    }


def test_what_is_added_and_withdrawn_within_one_update_is_not_landed(plaid, bank):
    plaid.page_rows = 1
    kept, gone = (transaction("acc-1", number, dt.date(2024, 3, 1)) for number in (1, 2))
    plaid.add(TOKEN, [kept, gone, {**kept, "amount": 1.0}])
    plaid.remove(TOKEN, gone["transaction_id"])
    receipt = poll(bank)
    assert table(bank) == truth(plaid)
    assert receipt.rows_in == receipt.rows_landed + receipt.rows_rejected + receipt.rows_repeated == 2


def test_a_backfill_over_what_a_poll_has_landed_doubles_nothing_and_loses_no_cursor(plaid, bank, one):
    plaid.year(TOKEN, "acc-1", FIRST, 366)
    poll(bank)
    cursor = one(f'select "cursor" from {CURSORS}')
    receipt = fetch(bank, dt.date(2024, 2, 1), dt.date(2024, 2, 29), "backfill")
    assert table(bank) == truth(plaid)
    assert set(receipt.days) <= {dt.date(2024, 2, day) for day in range(1, 30)}
    assert one(f'select "cursor" from {CURSORS}') == cursor


def test_a_backfill_that_a_poll_has_overtaken_writes_nothing_old_over_the_new(plaid, bank, monkeypatch):
    """The poll comes in between, with a change that the backfill's answer does not have yet."""
    only = transaction("acc-1", 1, dt.date(2024, 3, 1))
    plaid.add(TOKEN, [only])
    between = bank.source.between

    def slow(*args: Any) -> Any:
        delivery = between(*args)
        plaid.add(TOKEN, [{**only, "amount": 5.0}])
        poll(bank, "poll")
        return delivery

    monkeypatch.setattr(bank.source, "between", slow)
    with pytest.raises(OvertakenError, match="run it again"):
        fetch(bank, dt.date(2024, 3, 1), dt.date(2024, 3, 1))
    assert table(bank) == truth(plaid)


def test_an_error_between_two_pages_leaves_everything_as_it_was(plaid, bank, one):
    plaid.year(TOKEN, "acc-1", FIRST, 60)
    poll(bank)
    before = table(bank), one(f'select "cursor" from {CURSORS}')
    plaid.page_rows = 10
    plaid.add(TOKEN, [transaction("acc-1", 1_000 + n, dt.date(2024, 5, 1)) for n in range(35)])
    plaid.script.extend([None, None, plaid_book.error(400, "ITEM_ERROR", "ITEM_LOGIN_REQUIRED")])
    with pytest.raises(Exception, match="ITEM_LOGIN_REQUIRED"):
        poll(bank, "broken")
    assert (table(bank), one(f'select "cursor" from {CURSORS}')) == before
    poll(bank, "resumed")
    assert table(bank) == truth(plaid)


class PowerCutError(BaseException):
    """Nobody catches it."""


def test_a_crash_between_write_and_commit_leaves_rows_and_cursor_together(plaid, bank, one, monkeypatch):
    plaid.year(TOKEN, "acc-1", FIRST, 60)
    poll(bank)
    before = table(bank), one(f"select version from {CURSORS}"), one(f"select count(*) from {DELIVERIES}")
    plaid.add(TOKEN, [transaction("acc-1", 1_000 + n, dt.date(2024, 5, 1)) for n in range(35)])

    def cut(*_: Any) -> None:
        raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr(landing_module, "_log_row", cut)  # rows, rejects and cursor are written, the commit is not
        with pytest.raises(PowerCutError):
            poll(bank, "cut")
    assert (table(bank), one(f"select version from {CURSORS}"), one(f"select count(*) from {DELIVERIES}")) == before
    assert poll(bank, "resumed").rows_landed == 35
    assert table(bank) == truth(plaid)


KILLED = """
import datetime as dt, pathlib, sys
from credit_risk_platform.adapters.fintech.landing import BankTransactions
from credit_risk_platform.adapters.sources.plaid import PlaidClient, PlaidSource
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
url, root, client_id, secret, customer, token, key = sys.argv[1:]
source = PlaidSource(PlaidClient(client_id, secret, url=url), {customer: token})
bank = BankTransactions(DuckLakeWarehouse(pathlib.Path(root), threads=1), source, "bronze.raw_plaid_transactions",
                        TokenKey(key.encode()))
bank.prepare()
(connection,) = source.connections()
bank.land_changes(connection, run_id="killed", now=dt.datetime(2024, 12, 31, 18))
"""


def test_a_process_killed_in_mid_page_is_resumed_without_a_row_lost_or_doubled(plaid, bank, warehouse, key, one):
    plaid.page_rows = 50
    plaid.year(TOKEN, "acc-1", FIRST, 366)
    poll(bank)
    plaid.add(TOKEN, [transaction("acc-1", 1_000 + n, dt.date(2024, 5, 1)) for n in range(120)])
    before = table(bank)
    plaid.requests.clear()
    command = [sys.executable, "-c", KILLED, plaid.url, str(warehouse.root), plaid_book.CLIENT_ID, plaid_book.SECRET,
               CUSTOMER, TOKEN, key.secret.decode()]  # fmt: skip
    process = subprocess.Popen(command, cwd=PROJECT_ROOT)
    plaid.before = lambda _: process.kill() if len(plaid.requests) == 2 else None
    process.wait(60)
    assert process.returncode == -9
    assert len(plaid.requests) == 2, "it was to die while it asks for the second of three pages"
    assert table(bank) == before
    plaid.before = lambda _: None
    assert poll(bank, "resumed").rows_landed == 120
    assert table(bank) == truth(plaid)


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"transaction_id": None}, "transaction_id", "required_blank"),
    ({"account_id": ""}, "account_id", "required_blank"),
    ({"amount": "twelve"}, "amount", "unparsable"),
    ({"amount": 1.234}, "amount", "unparsable"),
    ({"amount": None}, "amount", "required_blank"),
    ({"amount": 2e12}, "amount", "out_of_range"),
    ({"iso_currency_code": None, "unofficial_currency_code": "BTC"}, "currency", "out_of_range"),
    ({"date": "2025-06-01"}, "booked_on", "impossible_date"),
    ({"date": "01/02/2024"}, "booked_on", "unparsable"),
    ({"date": None}, "booked_on", "required_blank"),
    ({"pending": "maybe"}, "pending", "unparsable"),
]


def test_a_record_that_is_none_waits_in_quarantine_with_what_to_do(plaid, bank):
    sound, *bad = (transaction("acc-1", number, dt.date(2024, 3, 1)) for number in range(1 + len(BAD)))
    plaid.add(TOKEN, [sound, *({**one, **changes} for one, (changes, _, _) in zip(bad, BAD, strict=True))])
    receipt = poll(bank)
    assert (receipt.rows_in, receipt.rows_landed, receipt.rows_rejected) == (1 + len(BAD), 1, len(BAD))
    rejects = bank.warehouse.query(f'select * from {REJECTS} order by "row"').to_pylist()
    found = [(reject["row"], reject["column"], reject["reason"]) for reject in rejects]
    assert found == [(row, column, reason) for row, (_, column, reason) in enumerate(BAD, start=2)]
    assert all(len(reject["next_step"].split()) > 4 for reject in rejects)
    assert not {"acc-1", plaid_book.OWNER, CUSTOMER} & {str(value) for reject in rejects for value in reject.values()}


def test_a_mended_record_leaves_the_quarantine(plaid, bank, one):
    bad = transaction("acc-1", 1, dt.date(2024, 3, 1), amount="twelve")
    plaid.add(TOKEN, [bad])
    poll(bank)
    plaid.add(TOKEN, [{**bad, "amount": 12.0}])
    poll(bank, "second")
    assert table(bank) == truth(plaid)
    assert one(f"select count(*) from {REJECTS}") == 0


def test_no_person_is_in_the_lake(plaid, bank, razorpayx, rupees):
    """Every text of every table, read back."""
    plaid.year(TOKEN, "acc-1", FIRST, 40)
    razorpayx.year(FIRST, 40)
    poll(bank)
    fetch(rupees, FIRST, LAST)
    tables = [PLAID, RAZORPAYX, CURSORS, DELIVERIES, REJECTS]
    said = json.dumps([bank.warehouse.query(f"select * from {one}").to_pylist() for one in tables], default=str)
    names = [name for *_, name in plaid_book.KINDS] + [
        plaid_book.OWNER,
        razorpayx_book.PAYER,
        razorpayx_book.PAYER_ACCOUNT,
    ]
    for personal in [*names, "John Doe", "acc-1", CUSTOMER, TOKEN, razorpayx_book.ACCOUNT, "fa_0000"]:
        assert personal not in said
        assert personal.lower() not in said


def test_a_customer_has_the_token_that_the_loans_have(plaid, bank, key, one):
    plaid.add(TOKEN, [transaction("acc-1", 1, dt.date(2024, 3, 1))])
    poll(bank)
    assert one(f"select subject_token from {PLAID}") == key.token(CUSTOMER)


def test_categories_are_the_platform_s_words(plaid, bank, razorpayx, rupees):
    plaid.year(TOKEN, "acc-1", FIRST, 40)
    razorpayx.year(FIRST, 40)
    poll(bank)
    fetch(rupees, FIRST, LAST)
    words = {
        row["provider_category"]: row["category"]
        for name in (PLAID, RAZORPAYX)
        for row in bank.warehouse.query(f"select distinct category, provider_category from {name}").to_pylist()
    }
    assert set(words.values()) <= set(CATEGORIES)
    assert words["INCOME_WAGES"] == "salary"
    assert words["BANK_FEES_INSUFFICIENT_FUNDS"] == words["reversal"] == "returned_payment"


def test_paise_become_rupees_and_credits_are_money_in(razorpayx, rupees):
    at = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
    razorpayx.transactions = [razorpayx_book.transaction(0, at), razorpayx_book.transaction(1, at)]
    fetch(rupees, FIRST, LAST)
    rows = rupees.warehouse.query(
        f"select amount, direction, balance_after, booked_at from {RAZORPAYX} order by amount"
    )
    assert rows.to_pylist() == [
        {"amount": Decimal("-124.45"), "direction": "out", "balance_after": Decimal("100124.45"), "booked_at": NOON},
        {"amount": Decimal("123.45"), "direction": "in", "balance_after": Decimal("100123.45"), "booked_at": NOON},
    ]


NOON = dt.datetime(2024, 3, 1, 12)
WRONG_PAISE: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": 100.5}, "amount", "unparsable"),
    ({"amount": 5}, "amount", "out_of_range"),  # rupees beside paise: credit and debit say otherwise
    ({"currency": "USD"}, "currency", "out_of_range"),
    ({"created_at": "yesterday"}, "booked_on", "unparsable"),
    ({"created_at": str(10**15)}, "booked_on", "unparsable"),
]


def test_an_amount_or_a_day_whose_unit_is_unsure_is_not_landed(razorpayx, rupees):
    at = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
    wrong = [razorpayx_book.transaction(number, at, **changes) for number, (changes, *_) in enumerate(WRONG_PAISE)]
    razorpayx.transactions = [*wrong, razorpayx_book.transaction(99, at)]
    receipt = fetch(rupees, FIRST, LAST)
    assert (receipt.rows_landed, receipt.rows_rejected) == (1, len(wrong))
    rejects = rupees.warehouse.query(f'select transaction_id, "column", reason from {REJECTS}').to_pylist()
    found = {tuple(reject.values()) for reject in rejects}
    assert found >= {(one["id"], column, reason) for one, (_, column, reason) in zip(wrong, WRONG_PAISE, strict=True)}


def test_a_field_that_the_provider_added_is_reported_and_not_landed(plaid, bank):
    plaid.add(TOKEN, [transaction("acc-1", 1, dt.date(2024, 3, 1), holder_mood="sunny")])
    assert poll(bank).new_fields == ("holder_mood",)


def test_a_day_fetched_twice_is_there_once(razorpayx, rupees, one):
    razorpayx.year(FIRST, 60)
    for run in ("first", "second"):
        fetch(rupees, FIRST, dt.date(2024, 2, 29), run)
    assert one(f"select count(*) from {RAZORPAYX}") == len(razorpayx.transactions)


def test_razorpayx_polls_go_on_a_little_before_the_last_one_and_miss_no_late_booking(razorpayx, rupees, one):
    razorpayx.year(FIRST, 60)
    today = dt.datetime(2024, 2, 29, 18)
    poll(rupees, "first", today)
    late = razorpayx_book.transaction(5_000, dt.datetime(2024, 2, 28, tzinfo=dt.UTC))
    razorpayx.transactions.append(late)
    razorpayx.requests.clear()
    poll(rupees, "second", today + dt.timedelta(hours=6))
    asked = dt.datetime.fromtimestamp(int(razorpayx.requests[0].query["from"]), dt.UTC)
    assert asked == dt.datetime(2024, 2, 26, tzinfo=dt.UTC)
    assert one(f"select count(*) from {RAZORPAYX} where transaction_id = '{late['id']}'") == 1


def test_a_booking_of_a_day_that_was_not_asked_for_cannot_double_that_day(plaid, bank, plaid_source, monkeypatch):
    """A provider that ignores the dates must not write rows that the fetch does not replace."""
    plaid.add(TOKEN, [transaction("acc-1", 1, dt.date(2024, 3, 1)), transaction("acc-1", 2, dt.date(2024, 4, 1))])
    everything = plaid_source.between(plaid_source.connections()[0], FIRST, LAST)
    march = (dt.date(2024, 3, 1), dt.date(2024, 3, 31))
    stray = Delivery(everything.pages, everything.effort, None, march)
    monkeypatch.setattr(plaid_source, "between", lambda *_: stray)
    receipt = fetch(bank, *march)
    assert (receipt.rows_landed, receipt.rows_rejected) == (1, 1)


def test_the_tables_are_the_contract_s(bank, warehouse):
    found = warehouse.columns(PLAID)
    assert found == {column.name: column.type for column in BANK_TRANSACTION_COLUMNS}


def test_an_empty_account_lands_and_says_so(plaid, bank, tmp_path: Path):
    plaid.add(TOKEN, [])
    receipt = poll(bank)
    assert (receipt.rows_in, receipt.rows_landed, receipt.days) == (0, 0, {})
