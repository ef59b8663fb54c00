"""What changed in a bank's system comes once and whole: equal time stamps, late rows, kills, deletes, bad rows."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from credit_risk_platform.adapters.sources.sql_database_pull import CURSORS
from credit_risk_platform.adapters.sources.sql_database_url import SourceError
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.settings import PROJECT_ROOT
from tests.bank_book import Bank, table_of, tokens
from tests.postgres_server import Postgres

KILLED = """
import os, signal, sys
from pathlib import Path
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from tests.bank_book import Bank
from tests.postgres_server import Postgres

bank = Bank(Postgres(int(sys.argv[1]), sys.argv[2]), DuckLakeWarehouse(Path(sys.argv[3]), threads=1))
bank.pull(batch_rows=40, told=lambda report: os.kill(os.getpid(), signal.SIGKILL) if report.rows_in == 80 else None)
"""


def test_a_customer_lands_under_the_loans_token_and_without_personal_data(bank: Bank) -> None:
    bank.customers(1, 3)
    report = bank.pull()
    assert (report.rows_in, report.landed, report.rejected) == (3, 3, 0)
    assert bank.tokens() == tokens(1, 3)
    assert bank.landed()[0] | {"subject_token": ""} == {
        "subject_token": "", "birth_year": 1980, "customer_since": datetime(2020, 1, 1).date(), "segment": "retail",
        "kyc_status": "verified", "kyc_reviewed_on": datetime(2021, 1, 1).date(), "state": "CA",
        "updated_at": datetime(2026, 3, 1, 12), "_pull": "run-1",
    }  # fmt: skip
    stored = "".join(file.read_bytes().decode("latin-1") for file in bank.warehouse.root.rglob("*.parquet"))
    assert not any(secret in stored for secret in ("Ada Name", "900-00-", "@example.org", "+1555", "Some Street"))


def test_rows_of_one_time_stamp_are_neither_lost_nor_doubled(bank: Bank) -> None:
    """All hundred changed in one instant, and a batch ends in the middle of them; more of that instant come later."""
    bank.customers(1, 100)
    assert bank.pull(batch_rows=30).landed == 100
    assert bank.tokens() == tokens(1, 100)
    bank.customers(101, 120)  # the same stamp
    bank.customers(121, 121, "timestamptz '2026-03-01 12:00:01+00'")
    bank.pull(batch_rows=30)
    assert bank.tokens() == tokens(1, 121)


def test_a_night_without_changes_reads_the_overlap_and_changes_nothing(bank: Bank) -> None:
    bank.customers(1, 10, "timestamptz '2026-03-01 12:00:00+00' - i * interval '1 day'")
    bank.pull()
    assert (again := bank.pull()).rows_in == 1  # the newest one, within the hour
    assert again.since == datetime(2026, 2, 28, 11)
    assert bank.tokens() == tokens(1, 10)


def test_a_row_that_changed_twice_is_there_once_as_it_is_now(bank: Bank) -> None:
    bank.customers(1, 2)
    bank.pull()
    for segment, minute in (("private", 5), ("wealth", 9)):
        moment = f"timestamptz '2026-03-01 12:{minute:02}:00+00'"
        bank.database.sql(f"update customers set segment = '{segment}', updated_at = {moment} where customer_id = 'C1'")
    bank.pull()
    assert sorted(row["segment"] for row in bank.landed()) == ["retail", "wealth"]


def test_a_transaction_that_was_open_during_the_pull_is_not_missed(bank: Bank) -> None:
    """Its row bears an older stamp than the cursor and becomes visible after it has passed."""
    with bank.database.connected() as slow:
        slow.execute("insert into customers (customer_id, customer_since, updated_at) values "
                     "('C1', '2020-01-01', '2026-03-01 11:30:00+00')")  # fmt: skip
        bank.customers(2, 2)
        assert bank.pull().landed == 1
    assert bank.pull().landed == 2
    assert bank.tokens() == tokens(1, 2)


def test_a_pull_that_is_killed_between_batches_goes_on_behind_the_last_one(bank: Bank) -> None:
    bank.customers(1, 200, "timestamptz '2026-03-01 12:00:00+00' + (i / 60) * interval '1 second'")
    database, lake = bank.database, bank.warehouse.root
    bank.warehouse.close()
    command = [sys.executable, "-c", KILLED, str(database.port), database.database, str(lake)]
    killed = subprocess.run(command, cwd=PROJECT_ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(bank.landed()) == 80
    report = bank.pull()
    assert (report.resumed, report.rows_in) == (True, 120)
    assert bank.tokens() == tokens(1, 200)
    # What was committed late while the first part was read is still to be found: the next pull begins before the kill.
    assert report.read_until == datetime(2026, 3, 1, 12, 0, 1)


def test_the_cursor_keeps_no_customer_number_in_the_clear(bank: Bank) -> None:
    bank.database.sql("insert into customers (customer_id, customer_since, updated_at) values "
                      "('4929123456', '2020-01-01', '2026-03-01 11:30:00+00')")  # fmt: skip
    bank.pull()
    assert "4929123456" not in str(bank.warehouse.query(f"select * from {CURSORS}").to_pylist())


def test_bad_rows_are_counted_refused_with_a_reason_and_land_once_mended(bank: Bank) -> None:
    bank.customers(1, 8)
    for customer, change in {
        "C1": "birth_date = '2150-01-01'",  # not born yet, and so the customer before the birth
        "C2": "customer_since = null",
        "C3": "birth_date = 'infinity'",
        "C4": "updated_at = null",
        "C5": "updated_at = '2999-01-01'",  # must not carry the cursor away
        "C6": "customer_since = '1970-01-01'",  # before the birth
    }.items():
        bank.database.sql(f"update customers set {change} where customer_id = '{customer}'")
    report = bank.pull()
    assert (report.rows_in, report.landed, report.rejected) == (8, 2, 6)
    assert bank.rejects() == [
        ("birth_date", "impossible_date"), ("birth_date", "unparsable"), ("customer_since", "impossible_date"),
        ("customer_since", "impossible_date"), ("customer_since", "required_blank"),
        ("updated_at", "impossible_date"), ("updated_at", "required_blank"),
    ]  # fmt: skip
    assert report.read_until == datetime(2026, 3, 1, 12)
    bank.pull()
    assert len(bank.rejects()) == 7  # read again, not written again
    mended = "birth_date = '1980-06-15', customer_since = '2020-01-01', updated_at = '2026-03-01 12:30:00+00'"
    bank.database.sql(f"update customers set {mended}")
    assert bank.pull().rejected == 0
    assert (bank.tokens(), bank.rejects()) == (tokens(1, 8), [])


def test_a_key_that_comes_twice_lands_as_it_changed_last(bank: Bank) -> None:
    bank.database.sql("alter table customers drop constraint customers_pkey")
    bank.customers(1, 2)
    bank.customers(1, 1, "timestamptz '2026-03-01 12:30:00+00'")
    report = bank.pull()
    assert (report.rows_in, report.landed, report.rejected) == (3, 2, 1)
    assert bank.rejects() == [("customer_id", "duplicate_id")]
    assert max(row["updated_at"] for row in bank.landed()) == datetime(2026, 3, 1, 12, 30)


def test_a_deleted_row_stays_until_the_whole_table_is_read_again(bank: Bank) -> None:
    bank.customers(1, 5)
    bank.pull()
    bank.database.sql("delete from customers where customer_id = 'C3'")
    assert (bank.pull().removed, len(bank.landed())) == (0, 5)
    assert bank.pull(reload=True, batch_rows=2).removed == 1
    assert bank.tokens() == sorted([*tokens(1, 2), *tokens(4, 5)])


def test_a_new_token_key_leaves_no_row_under_the_old_tokens(bank: Bank) -> None:
    bank.customers(1, 4)
    bank.pull()
    new = TokenKey(b"another key of the tests, as long")
    assert bank.pull(key=new).whole
    assert bank.tokens() == tokens(1, 4, new)


def test_accounts_and_bureau_files_keep_their_figures_and_lose_their_numbers(server: Postgres, tmp_path: Path) -> None:
    core = Bank.opened(server, tmp_path / "core", "core", "core_banking")
    core.database.sql("""
        insert into accounts values
        (4711, 'C1', 'DE02', 'current', 'EUR', 'open', '2020-01-01', null, -12.345, null, 500, 3, '2026-03-01'),
        (4712, 'C1', 'DE03', 'current', 'EUR', 'closed', '2020-01-01', '2019-12-31', 0, null, null, 0, '2026-03-01'),
        (4713, 'C1', 'DE04', 'current', 'EUR', 'open', '2020-01-01', null, 'NaN', null, null, -1, '2026-03-01')
    """)
    report = core.pull()
    assert (report.landed, report.rejected) == (1, 2)
    [account] = core.landed()
    assert account["subject_token"] in tokens(1, 1)
    assert account["account_token"] not in ("4711", account["subject_token"])
    assert (float(account["balance"]), account["days_past_due"]) == (-12.35, 3)
    assert core.rejects() == [
        ("balance", "unparsable"), ("closed_on", "impossible_date"), ("days_past_due", "out_of_range"),
    ]  # fmt: skip
    core.warehouse.close()

    bureau = Bank(server.another("bureau"), core.warehouse, table_of("bureau"))
    bureau.database.sql(
        "create view bureau_pulls as select * from (values "
        "(1, 'C1', 'Experian', date '2026-02-01', 712, 4, 1, 0, 31.5, timestamptz '2026-02-01'), "
        "(2, 'C1', 'Experian', date '2026-02-02', 851, 4, 1, 0, 31.5, timestamptz '2026-02-01'), "
        "(3, 'C1', 'Experian', date '2026-02-03', 299, 4, 1, 0, 31.5, timestamptz '2026-02-01'), "
        "(4, 'C2', 'Experian', date '2026-02-04', null, 4, 1, 0, 31.5, timestamptz '2026-02-01')) "
        "as t (pull_id, customer_id, bureau, pulled_on, score, open_accounts, inquiries_6m, delinquencies_2y, "
        "utilisation, updated_at)"
    )
    assert (bureau.pull().rejected, [row["score"] for row in bureau.landed("pull_id")]) == (2, [712, None])
    bureau.warehouse.close()


def test_a_read_that_breaks_off_says_so_and_the_next_one_goes_on(bank: Bank) -> None:
    bank.customers(1, 90)

    def cut(report: object) -> None:
        bank.database.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'credit-risk'"
        )

    with pytest.raises(SourceError, match=r"broke off.*goes on behind the last batch"):
        bank.pull(batch_rows=10, told=cut)
    assert 0 < len(bank.landed()) < 90
    assert bank.pull().resumed
    assert bank.tokens() == tokens(1, 90)
