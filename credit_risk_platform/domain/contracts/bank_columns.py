"""Contracts of the tables that a bank's own systems keep: what is read of each, and what of it lands in bronze.

Columns that are not here never leave the bank's database: no name, national id, e-mail, phone or address is asked for.
Those with `pii` are read and do not land as they are: ids become tokens (`TOKENS`), a birth date becomes its year.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from credit_risk_platform.domain.contracts.column import Column, Kind, Stage
from credit_risk_platform.domain.contracts.reasons import Reason, advice

BANK_CONTRACT_VERSION = "1.0"
UPDATED_AT = "updated_at"
ACCOUNT_PREFIX = "account:"
"""Set before an account's number, so that it can never equal a customer's id and get that customer's token."""


@dataclass(frozen=True)
class Token:
    """The landed column that stands for a personal id."""

    name: str
    prefix: str = ""


TOKENS: Mapping[str, Token] = {
    "customer_id": Token("subject_token"),
    "account_id": Token("account_token", ACCOUNT_PREFIX),
}


@dataclass(frozen=True)
class BankTable:
    """One table, or a view, of one of the bank's systems. A row is named by `key` and dated by `updated_at`."""

    system: str
    """Names the source in messages, metadata and the table of cursors."""
    setting: str
    """Of `Settings`: the database's URL."""
    relation: str
    """What the platform reads, as the login's search path finds it."""
    columns: tuple[Column, ...]
    """Read from the source, in landing order."""
    key: str
    landed_as: str
    """Warehouse table."""
    order: tuple[tuple[str, str], ...] = ()
    """(earlier, later): dates that cannot lie the other way round; the later one is blamed."""

    @property
    def variable(self) -> str:
        """The environment's name of `setting`."""
        return f"CRP_{self.setting.upper()}"

    @property
    def landed_key(self) -> str:
        """Column of the landed table that names its rows."""
        return TOKENS[self.key].name if self.key in TOKENS else self.key

    @property
    def landed(self) -> tuple[Column, ...]:
        """Every column of the landed table, in order."""
        return (*(_landed_form(column) for column in self.columns), PULL)

    def advice(self, column: Column, reason: Reason) -> str:
        """What to tell whoever keeps the source."""
        if reason is Reason.DUPLICATE_ID:
            return f"Make {column.name} unique in {self.relation}: of rows that share it the newest one landed."
        if reason is Reason.REQUIRED_BLANK:
            return f"Fill in {column.name} in {self.relation}: a row cannot be used without it."
        if reason in (Reason.IMPOSSIBLE_DATE, Reason.UNPARSABLE) and column.name == UPDATED_AT:
            return f"Mend what writes {UPDATED_AT} in {self.relation}: it must be a moment after 1900 that has come."
        return advice(column, reason)


def _landed_form(column: Column) -> Column:
    if (token := TOKENS.get(column.name)) is not None:
        words = f"{column.description} As HMAC-SHA256, by the key that makes subject tokens everywhere."
        return Column(token.name, Stage.LANDING, Kind.TEXT, "", words, nullable=column.nullable)
    return BIRTH_YEAR if column.name == BIRTH_DATE else column


PULL = Column("_pull", Stage.LANDING, Kind.TEXT, "", "Run that began the pull which read the row last.", nullable=False)
BIRTH_DATE = "birth_date"
BIRTH_YEAR = Column("birth_year", Stage.RESTRICTED, Kind.COUNT, "year", "Year of birth: for fairness tests only.")
"""A year, not an age band: it tells less of a person than the day, gives the age at any date, and does not go stale."""

_id = partial(Column, stage=Stage.PERSON, kind=Kind.TEXT, unit="", nullable=False, landed=False, pii=True)
_text = partial(Column, stage=Stage.LANDING, kind=Kind.TEXT, unit="")
_day = partial(Column, stage=Stage.LANDING, kind=Kind.DAY, unit="date")
_money = partial(Column, stage=Stage.LANDING, kind=Kind.MONEY, unit="currency", lower=-1e12, upper=1e12)
_count = partial(Column, stage=Stage.BUREAU, kind=Kind.COUNT, unit="count", lower=0, upper=100_000)
_updated = Column(
    UPDATED_AT, Stage.LANDING, Kind.TIMESTAMP, "UTC", "When the source last changed the row.", nullable=False
)

CRM_CUSTOMERS = BankTable(
    system="crm",
    setting="crm_database_url",
    relation="customers",
    key="customer_id",
    landed_as="bronze.raw_crm_customers",
    columns=(
        _id("customer_id", description="The bank's number of the customer."),
        Column(BIRTH_DATE, Stage.RESTRICTED, Kind.DAY, "date", "Day of birth.", landed=False, pii=True),
        _day("customer_since", description="Day the customer joined the bank.", nullable=False),
        _text("segment", description="Segment as the bank names it."),
        _text("kyc_status", description="State of the identity check."),
        _day("kyc_reviewed_on", description="Day the identity check was last reviewed."),
        Column("state", Stage.PERSON, Kind.TEXT, "", "State of residence: concentration and fairness only."),
        _updated,
    ),
    order=((BIRTH_DATE, "customer_since"), ("customer_since", "kyc_reviewed_on")),
)

CORE_ACCOUNTS = BankTable(
    system="core_banking",
    setting="core_banking_database_url",
    relation="accounts",
    key="account_id",
    landed_as="bronze.raw_core_accounts",
    columns=(
        _id("account_id", description="The bank's number of the account."),
        _id("customer_id", description="Customer whose account it is."),
        _text("product", description="Kind of account as the bank names it.", nullable=False),
        _text("currency", description="ISO 4217.", nullable=False),
        _text("status", description="State of the account as the bank names it.", nullable=False),
        _day("opened_on", description="Day the account was opened.", nullable=False),
        _day("closed_on", description="Day the account was closed; blank while it is open."),
        _money("balance", description="Balance when the row was last changed."),
        _money("credit_limit", description="Credit limit; blank where there is none.", lower=0),
        _money("overdraft_limit", description="Arranged overdraft; blank where there is none.", lower=0),
        Column("days_past_due", Stage.OUTCOME, Kind.COUNT, "days", "Days past due.", lower=0, upper=100_000),
        _updated,
    ),
    order=(("opened_on", "closed_on"),),
)

BUREAU_PULLS = BankTable(
    system="bureau",
    setting="bureau_database_url",
    relation="bureau_pulls",
    key="pull_id",
    landed_as="bronze.raw_bureau_pulls",
    columns=(
        _text("pull_id", description="The bank's number of the enquiry.", nullable=False),
        _id("customer_id", description="Customer who was asked about."),
        _text("bureau", description="Bureau that answered.", nullable=False),
        _day("pulled_on", description="Day the file was pulled: nothing in it was known before.", nullable=False),
        Column("score", Stage.BUREAU, Kind.COUNT, "score points", "Bureau score; blank when the bureau gave none.",
               lower=300, upper=850),
        _count("open_accounts", description="Open credit lines."),
        _count("inquiries_6m", description="Enquiries in six months."),
        _count("delinquencies_2y", description="Times 30 days past due in two years."),
        Column("utilisation", Stage.BUREAU, Kind.PERCENT, "percent points", "Balance over limit of revolving lines.",
               lower=0, upper=10_000),
        _updated,
    ),
)  # fmt: skip

BANK_TABLES: tuple[BankTable, ...] = (CRM_CUSTOMERS, CORE_ACCOUNTS, BUREAU_PULLS)
