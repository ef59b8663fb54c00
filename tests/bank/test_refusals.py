"""A source that cannot be read is named with the place and the next step, and never with a password."""

from __future__ import annotations

import traceback

import pytest

from credit_risk_platform.adapters.kafka_ports import free_port
from credit_risk_platform.adapters.sources.sql_database_pull import pull
from credit_risk_platform.adapters.sources.sql_database_url import SourceError, SourceSettingError, address
from credit_risk_platform.domain.contracts.bank_columns import CRM_CUSTOMERS
from tests.bank_book import KEY, Bank
from tests.postgres_server import HOST, PASSWORD

VARIABLE = "CRP_CRM_DATABASE_URL"
SECRET = "TopSecret"
REMOTE = f"postgresql://u:{SECRET}@db.bank.example/crm"


def refused(url: str) -> str:
    with pytest.raises(SourceSettingError) as caught:
        address("crm", VARIABLE, url)
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told
    assert VARIABLE in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        REMOTE,
        f"{REMOTE}?sslmode=prefer",
        f"{REMOTE}?sslmode=disable",
        f"{REMOTE}?sslmode=prefer&sslmode=require",
        f"postgresql://u:{SECRET}@10.0.0.7/crm",
        f"postgresql://u:{SECRET}@/crm?host=db.bank.example:5432",
        f"postgresql://u:{SECRET}@localhost/crm?hostaddr=10.0.0.7",
        f"postgresql://u:{SECRET}@/crm?host=127.0.0.1&host=db.bank.example",
    ],
)
def test_another_machine_is_not_spoken_to_without_tls(url: str) -> None:
    assert "Add ?sslmode=verify-full" in refused(url)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_tls_and_this_machine_are_accepted(mode: str) -> None:
    assert address("crm", VARIABLE, f"{REMOTE}?sslmode={mode}").place == "db.bank.example/crm"
    for local in ("127.0.0.1", "localhost", "[::1]"):
        assert SECRET not in repr(address("crm", VARIABLE, f"postgresql://u:{SECRET}@{local}/crm"))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"nonsense {SECRET}", "it cannot be read"),
        (f"postgresql://u:p@{SECRET}@localhost/crm", "%40"),
        (f"postgresql://u:x@localhost:{SECRET}/crm", "it cannot be read"),
        (f"oracle+nothing://u:{SECRET}@localhost/crm", "no driver of that name"),
        (f"postgresql://u:{SECRET}@/crm", "names no host"),
        (f"postgresql://u:{SECRET}@localhost/crm?service=bank", "takes its address from elsewhere"),
        (f"mysql://u:{SECRET}@db.bank.example/crm", VARIABLE),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_words_that_hold_nothing_of_it(url: str, told: str) -> None:
    assert told in refused(url)


def failing(bank: Bank, url: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        pull(address("crm", VARIABLE, url), CRM_CUSTOMERS, bank.warehouse, KEY, run_id="run")
    told = "".join(traceback.format_exception(caught.value))
    assert "psycopg" not in told  # not even below it, as what it came from
    assert PASSWORD not in told
    assert url not in told
    return caught.value


def test_what_is_wrong_with_a_source_is_told_with_place_and_next_step(bank: Bank) -> None:
    url, port = bank.database.url, bank.database.port
    down = failing(bank, url.replace(str(port), str(free_port(HOST))))
    assert "cannot be reached at 127.0.0.1" in str(down)
    wrong = failing(bank, url.replace("hush%3A", "other"))
    assert f"refuses the login. Next step: Check user and password in {VARIABLE}" in str(wrong)
    assert "there is no such database" in str(failing(bank, url.replace(f"/{bank.database.database}", "/elsewhere")))
    assert "no TLS that both accept" in str(failing(bank, f"{url}?sslmode=require"))

    bank.database.sql("alter table customers rename column segment to tier")
    lost = failing(bank, url)
    assert (lost.relation, lost.column) == ("customers", "segment")
    assert "it has address, birth_date" in str(lost)
    bank.database.sql("alter table customers rename column tier to segment")
    bank.database.sql("alter table customers alter column updated_at type text")
    assert failing(bank, url).column == "updated_at"
    bank.database.sql("drop table customers")
    assert failing(bank, url).relation == "customers"
