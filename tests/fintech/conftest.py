"""Both providers as real servers on loopback, a lake of its own, and a clock that nobody has to wait for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from credit_risk_platform.adapters.fintech.tables import CURSORS, DELIVERIES, REJECTS
from credit_risk_platform.adapters.sources.plaid import PlaidClient, PlaidSource
from credit_risk_platform.adapters.sources.razorpayx import RazorpayXClient, RazorpayXSource
from credit_risk_platform.adapters.tokens import TokenKey
from credit_risk_platform.adapters.warehouse.duckdb import DuckLakeWarehouse
from credit_risk_platform.settings import Settings
from tests.fintech.stand_ins import plaid as plaid_book
from tests.fintech.stand_ins import razorpayx as razorpayx_book
from tests.fintech.stand_ins.plaid import PlaidStandIn
from tests.fintech.stand_ins.razorpayx import RazorpayXStandIn

TOKEN, OTHER_TOKEN = "access-production-7-n0t-4-l0g", "access-production-8-n0t-4-l0g"
TABLES = (
    "bronze.raw_plaid_transactions", "bronze.raw_razorpayx_transactions", "bronze.raw_sample_bank_transactions",
    CURSORS, DELIVERIES, REJECTS,
)  # fmt: skip
CUSTOMER, OTHER_CUSTOMER = "CUST_4711", "CUST_4712"


@dataclass
class Clock:
    """Time passes by sleeping only."""

    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plaid() -> Iterator[PlaidStandIn]:
    server = PlaidStandIn()
    yield server
    server.close()


@pytest.fixture
def razorpayx() -> Iterator[RazorpayXStandIn]:
    server = RazorpayXStandIn()
    yield server
    server.close()


@pytest.fixture
def plaid_client(plaid: PlaidStandIn, clock: Clock) -> Iterator[PlaidClient]:
    client = PlaidClient(
        plaid_book.CLIENT_ID, plaid_book.SECRET, url=plaid.url, tokens=(TOKEN, OTHER_TOKEN),
        sleep=clock.sleep, clock=clock, read_seconds=0.3,
    )  # fmt: skip
    yield client
    client.close()


@pytest.fixture
def razorpayx_client(razorpayx: RazorpayXStandIn, clock: Clock) -> Iterator[RazorpayXClient]:
    client = RazorpayXClient(
        razorpayx_book.KEY_ID, razorpayx_book.KEY_SECRET, razorpayx_book.ACCOUNT, url=razorpayx.url,
        sleep=clock.sleep, clock=clock,
    )  # fmt: skip
    yield client
    client.close()


@pytest.fixture
def plaid_source(plaid_client: PlaidClient) -> PlaidSource:
    return PlaidSource(plaid_client, {CUSTOMER: TOKEN})


@pytest.fixture
def razorpayx_source(razorpayx_client: RazorpayXClient) -> RazorpayXSource:
    return RazorpayXSource(razorpayx_client, razorpayx_book.ACCOUNT)


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckLakeWarehouse]:
    made = DuckLakeWarehouse(tmp_path_factory.mktemp("fintech") / "warehouse", threads=1)
    yield made
    made.close()


@pytest.fixture
def warehouse(lake: DuckLakeWarehouse) -> DuckLakeWarehouse:
    """The one lake of these tests (making one takes a second), emptied."""
    held = [table for table in TABLES if lake.exists(table)]
    if held:
        with lake.transaction() as transaction:
            for table in held:
                transaction.query(f"delete from {table}")
    return lake


@pytest.fixture
def key() -> TokenKey:
    return TokenKey(b"a key of the tests, and of nobody else")


@pytest.fixture
def configured(tmp_path: Path, plaid: PlaidStandIn, razorpayx: RazorpayXStandIn) -> Settings:
    """A home that knows both stand-ins."""
    return Settings(
        home=tmp_path / "home",
        plaid_url=plaid.url,
        plaid_client_id=plaid_book.CLIENT_ID,
        plaid_secret=plaid_book.SECRET,
        plaid_access_tokens=json.dumps({CUSTOMER: TOKEN, OTHER_CUSTOMER: OTHER_TOKEN}),
        razorpayx_url=razorpayx.url,
        razorpayx_key_id=razorpayx_book.KEY_ID,
        razorpayx_key_secret=razorpayx_book.KEY_SECRET,
        razorpayx_account_number=razorpayx_book.ACCOUNT,
    )


@pytest.fixture
def one(warehouse: DuckLakeWarehouse) -> Callable[[str], object]:
    """The first value of a query's first row."""
    return lambda sql: warehouse.query(sql)[0][0].as_py()
